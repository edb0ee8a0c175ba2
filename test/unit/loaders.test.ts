import { mkdtempSync, rmSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Document } from "@langchain/core/documents";
import { afterAll, beforeEach, describe, expect, it, vi } from "vitest";
import { ConfigurationError, LoadError } from "../../src/errors.js";
import {
  loadDocuments,
  splitDocuments,
  type LoadOptions,
  type LoadSummary,
  type SkippedFile,
} from "../../src/loaders/index.js";
import { sharedData, sharedDataTitle } from "../helpers/shared-data.js";

const root = mkdtempSync(join(tmpdir(), "loaders-"));
let count = 0;
let folder = root;

beforeEach(async () => {
  folder = join(root, String((count += 1)));
  await mkdir(folder);
});
afterAll(() => rmSync(root, { recursive: true }));

async function put(files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
}

async function load(source: string | string[], options: LoadOptions = {}): Promise<Document[]> {
  const documents: Document[] = [];
  for await (const document of loadDocuments(source, { cwd: folder, ...options })) documents.push(document);
  return documents;
}

async function sources(source: string | string[], options?: LoadOptions): Promise<unknown[]> {
  return (await load(source, options)).map((document) => document.metadata["source"]);
}

async function read(name: string): Promise<unknown[]> {
  const [document] = await load(name);
  return [document?.pageContent, document?.metadata["encoding"]];
}

/** A PDF file with one page of Helvetica per text, written by hand: header, objects, cross-reference table, trailer. */
function pdf(pages: readonly string[], title?: string): Buffer {
  const kids = pages.map((_, index) => `${4 + 2 * index} 0 R`).join(" ");
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    `<< /Type /Pages /Kids [${kids}] /Count ${pages.length} >>`,
    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ...pages.flatMap((text, index) => {
      const content = `BT /F1 12 Tf 20 100 Td (${text}) Tj ET`;
      const resources = "/Resources << /Font << /F1 3 0 R >> >> /MediaBox [0 0 300 200]";
      return [
        `<< /Type /Page /Parent 2 0 R ${resources} /Contents ${5 + 2 * index} 0 R >>`,
        `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
      ];
    }),
    `<< /Title (${title ?? ""}) >>`,
  ];
  let file = "%PDF-1.4\n";
  const offsets = objects.map((object, index) => {
    const offset = file.length;
    file += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return `${String(offset).padStart(10, "0")} 00000 n \n`;
  });
  const size = objects.length + 1;
  const table = `xref\n0 ${size}\n0000000000 65535 f \n${offsets.join("")}`;
  const trailer = `trailer\n<< /Size ${size} /Root 1 0 R /Info ${size - 1} 0 R >>\nstartxref\n${file.length}\n%%EOF\n`;
  return Buffer.from(file + table + trailer, "latin1");
}

describe("loadDocuments: formats", () => {
  it("reads text as it is and names source and format", async () => {
    await put({ "a.txt": "one\r\ntwo\n", "b/c.ts": "const x = 1;\n", LICENSE: "Free.", "empty.txt": " \n" });
    const documents = await load(".");
    expect(documents.map((document) => [document.pageContent, document.metadata])).toEqual([
      ["Free.", { source: "LICENSE", format: "text" }],
      ["one\r\ntwo\n", { source: "a.txt", format: "text" }],
      ["const x = 1;\n", { source: "b/c.ts", format: "code" }],
    ]);
  });

  it("reads UTF-8 and UTF-16 with byte order marks, windows-1252 otherwise, and drops NUL", async () => {
    const utf16le = Buffer.from("\ufeffgrün", "utf16le");
    await put({
      "bom.txt": "\ufeffgrün",
      "le.txt": utf16le,
      "be.txt": Buffer.from(utf16le).swap16(),
      "latin1.txt": Buffer.from("gr\xfcn", "latin1"),
      "nul.txt": "gr\0ün, gr\0ün and more words of the kind",
    });
    expect(await read("bom.txt")).toEqual(["grün", undefined]);
    expect(await read("le.txt")).toEqual(["grün", "utf-16le"]);
    expect(await read("be.txt")).toEqual(["grün", "utf-16be"]);
    expect(await read("latin1.txt")).toEqual(["grün", "windows-1252"]);
    expect(await read("nul.txt")).toEqual(["grün, grün and more words of the kind", undefined]);
  });

  it("finds the title of Markdown in the front matter or the first heading", async () => {
    await put({
      "front.md": '---\nauthor: x\ntitle: "From front matter"\n---\n# Heading\n',
      "heading.markdown": "```\n# not this\n```\n\n## Sub\n\n# The *title* of [it](x)\n",
      "none.mdx": "Just text.",
    });
    const titles = (await load(".")).map((document) => [document.metadata["format"], document.metadata["title"]]);
    expect(titles).toEqual([
      ["markdown", "From front matter"],
      ["markdown", "The title of it"],
      ["markdown", undefined],
    ]);
  });

  it("turns HTML into text with headings and code, without scripts, styles, navigation and links", async () => {
    const html = `<!doctype html><html><head><title>Fish &amp; &lt;Chips&gt;</title><style>p{color:red}</style></head>
      <body><nav><a href="/">Home</a></nav><script>alert("no")</script>
      <h1>Menu</h1><p>Take <a href="https://example.com/x">the  best</a> one.<br>Really.</p>
      <h2>Prices <em>today</em></h2><h3></h3>
      <table><thead><tr><th>Dish</th><th>Price</th></tr></thead><tr><td>Cod</td><td><p>7</p></td></tr></table>
      <ul><li>salt</li><li>vinegar</li></ul><pre># fry it
  twice</pre><img src="cod.png" alt="A cod"></body></html>`;
    await put({ "menu.html": html, "untitled.htm": "<h2>Only heading</h2>text" });
    const [menu, untitled] = await load(["menu.html", "untitled.htm"]);
    expect(menu?.metadata).toEqual({ source: "menu.html", format: "html", title: "Fish & <Chips>" });
    expect(menu?.pageContent).toBe(
      [
        "# Menu\n\nTake the best one.\nReally.\n\n## Prices today\n\nDish | Price\nCod | 7\n\n- salt\n- vinegar\n\n",
        "```\n# fry it\n  twice\n```\n\nA cod",
      ].join(""),
    );
    expect(untitled?.metadata["title"]).toBe("Only heading");
    const chunks: Document[] = [];
    for await (const chunk of splitDocuments([menu!], { chunkSize: 80 })) chunks.push(chunk);
    expect(chunks.map((chunk) => chunk.metadata["headings"])).toContainEqual(["Menu", "Prices today"]);
  });

  it("reads a PDF file page by page, without a word on the console", async () => {
    await put({ "two.pdf": pdf(["Hello from page one.", "", "Goodbye from page three."], "A Title") });
    const written = [vi.spyOn(process.stdout, "write"), vi.spyOn(process.stderr, "write")];
    const logged = (["log", "info", "warn", "error"] as const).map((name) => vi.spyOn(console, name));
    const documents = await load("two.pdf");
    for (const spy of [...written, ...logged]) {
      expect(spy).not.toHaveBeenCalled();
      spy.mockRestore();
    }
    const shared = { source: "two.pdf", format: "pdf", title: "A Title", pdf: { totalPages: 3 } };
    expect(documents.map((document) => [document.pageContent.trim(), document.metadata])).toEqual([
      ["Hello from page one.", { ...shared, loc: { pageNumber: 1 } }],
      ["Goodbye from page three.", { ...shared, loc: { pageNumber: 3 } }],
    ]);
  });
});

describe("loadDocuments: which files", () => {
  it("searches folders, in the order of their names, without hidden, ignored, linked and unsupported files", async () => {
    await put({
      ".gitignore": "build/\n*.tmp.md\n",
      "b.md": "b",
      "a/z.md": "z",
      "a/y.tmp.md": "ignored",
      "a/.gitignore": "secret.md\n",
      "a/secret.md": "ignored",
      "build/x.md": "ignored",
      ".hidden/x.md": "hidden",
      ".env.md": "hidden",
      "node_modules/x/readme.md": "dependency",
      "picture.PNG": "image",
      Unknown: "no extension",
    });
    await symlink(folder, join(folder, "a/loop"));
    let summary: LoadSummary | undefined;
    expect(await sources(".", { onDone: (done) => (summary = done) })).toEqual(["a/z.md", "b.md"]);
    expect(summary).toEqual({ files: 2, documents: 2, skipped: 1, unsupported: { ".png": 1, "": 1 } });
  });

  it("respects the .gitignore of the repository around a folder, but reads an ignored folder that is named", async () => {
    await put({ ".gitignore": "out/\n*.tmp.md\n", "docs/a.md": "a", "docs/b.tmp.md": "b", "docs/out/c.md": "c" });
    await put({ "out/d.md": "d", "out/.gitignore": "e.md", "out/e.md": "e", "docs/b.tmp.md": "b" });
    await mkdir(join(folder, ".git"));
    expect(await sources("docs")).toEqual(["docs/a.md"]);
    expect(await sources("out")).toEqual(["out/d.md"]);
    expect(await sources("docs/b.tmp.md")).toEqual(["docs/b.tmp.md"]);
  });

  it("takes patterns, and paths with pattern characters as paths", async () => {
    await put({ "docs/[a].md": "x", "docs/b.md": "y", "docs/c/d.md": "z", "docs/e.txt": "t" });
    expect(await sources("docs/*.md")).toEqual(["docs/[a].md", "docs/b.md"]);
    expect(await sources("docs/**/*.{md,txt}")).toEqual(["docs/[a].md", "docs/b.md", "docs/c/d.md", "docs/e.txt"]);
    expect(await sources("../*/b.md", { cwd: join(folder, "docs") })).toContain("b.md");
    expect(await sources(join(folder, "docs/c/*"))).toEqual(["docs/c/d.md"]);
    expect(await sources("docs/{b,c/*}.md")).toEqual(["docs/b.md", "docs/c/d.md"]);
    expect(await sources("docs/[a].md")).toEqual(["docs/[a].md"]);
  });

  it("reads a file once, and names files outside the current folder by their absolute path", async () => {
    await put({ "a.md": "a", "sub/b.md": "b" });
    expect(await sources(["sub", "a.md", "."])).toEqual(["sub/b.md", "a.md"]);
    expect(await sources("../a.md", { cwd: join(folder, "sub") })).toEqual([join(folder, "a.md")]);
  });
});

describe("loadDocuments: errors", () => {
  it("names a path that does not exist, before it loads anything", async () => {
    await put({ "a.md": "a" });
    for (const missing of ["b.md", "*.rst", ""]) {
      const error = await load(["a.md", missing], { onError: "skip" }).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(LoadError);
      expect(error).toMatchObject({ source: missing, message: expect.stringContaining(`"${missing}"`) });
    }
  });

  it("refuses a named file of unknown format with the list of those it knows", async () => {
    await put({ "a.xlsx": "x", "b.md": "b" });
    await expect(load("a.xlsx")).rejects.toThrow(/"a\.xlsx".*\.html.*\.md.*\.pdf.*\.txt/);
    const skipped: SkippedFile[] = [];
    const options: LoadOptions = { onError: "skip", onSkip: (file) => skipped.push(file) };
    expect(await sources(["a.xlsx", "b.md"], options)).toEqual(["b.md"]);
    expect(skipped.map((file) => file.source)).toEqual(["a.xlsx"]);
  });

  const broken: Readonly<Record<string, string | Buffer>> = {
    "cut.pdf": pdf(["Hello"]).subarray(0, 200),
    "fake.pdf": "no PDF at all",
    "scan.pdf": pdf([""]),
    "binary.txt": Buffer.from(Array.from({ length: 2000 }, (_, index) => index % 64)),
    "large.txt": "x".repeat(5000),
  };

  it.each(Object.keys(broken))("reports %s and goes on in a folder, fails when it is named", async (name) => {
    await put({ [name]: broken[name]!, "z.md": "z" });
    const skipped: SkippedFile[] = [];
    let summary: LoadSummary | undefined;
    const options: LoadOptions = {
      maxFileBytes: 4000,
      onSkip: (file) => skipped.push(file),
      onDone: (done) => (summary = done),
    };
    expect(await sources(".", options)).toEqual(["z.md"]);
    expect(skipped).toEqual([{ source: name, error: expect.any(LoadError) as LoadError }]);
    expect(skipped[0]?.error.message).toContain(`"${name}"`);
    expect(summary).toMatchObject({ files: 1, skipped: 1 });
    await expect(load(name, { maxFileBytes: 4000 })).rejects.toThrow(LoadError);
    await expect(load(".", { maxFileBytes: 4000, onError: "fail" })).rejects.toThrow(LoadError);
    expect(await load([name], { maxFileBytes: 4000, onError: "skip" })).toEqual([]);
  });

  it("says how large the file is and which option lets it through", async () => {
    await put({ "large.txt": "x".repeat(5000) });
    await expect(load("large.txt", { maxFileBytes: 4999 })).rejects.toThrow(/5000 bytes.*maxFileBytes \(4999\)/);
    expect(await load("large.txt", { maxFileBytes: 5000 })).toHaveLength(1);
    await expect(load("large.txt", { maxFileBytes: 0 })).rejects.toThrow(ConfigurationError);
  });

  it("stops when the signal is aborted, whatever onError says", async () => {
    await put({ "a.md": "a", "b.md": "b" });
    const controller = new AbortController();
    const seen: unknown[] = [];
    const run = async (): Promise<void> => {
      for await (const document of loadDocuments(".", { cwd: folder, signal: controller.signal, onError: "skip" })) {
        seen.push(document.metadata["source"]);
        controller.abort(new Error("enough"));
      }
    };
    await expect(run()).rejects.toThrow("enough");
    expect(seen).toEqual(["a.md"]);
  });
});

const shared = sharedData("loader-docs") ?? "";

describe.skipIf(shared === "")(sharedDataTitle("loadDocuments: real files", "loader-docs"), () => {
  it("reads the nine pages of a paper", async () => {
    const pages = await load(join(shared, "bitcoin.pdf"));
    expect(pages.map((page) => (page.metadata["loc"] as { pageNumber: number }).pageNumber)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9,
    ]);
    expect(pages[0]?.pageContent).toContain("A purely peer-to-peer version of electronic cash would allow online");
    expect(pages[2]?.pageContent).toContain("New transactions are broadcast to all nodes");
    expect(pages[3]?.pageContent).not.toContain("New transactions are broadcast to all nodes");
  });

  it("reads a manual in HTML", async () => {
    const pages = await load(join(shared, "html"), { onError: "fail" });
    expect(pages.length).toBeGreaterThan(20);
    for (const page of pages) {
      expect(page.metadata["title"]).toMatch(/\w/);
      expect(page.pageContent).toMatch(/^#+ /m);
      expect(page.pageContent).not.toMatch(/<\/?(?:div|table|script|p)\b|\bPrev\b.*\bNext\b/);
    }
  });

  it("splits a readme at its headings", async () => {
    const text = (await load(join(shared, "pgvector-README.md")))[0]!;
    const paths: unknown[] = [];
    for await (const chunk of splitDocuments([text])) {
      const { offset, headings } = chunk.metadata as { offset: { start: number; end: number }; headings: string[] };
      expect(text.pageContent.slice(offset.start, offset.end)).toBe(chunk.pageContent);
      paths.push(headings.join(" > "));
    }
    expect(paths).toContain("pgvector > Installation > Linux and Mac");
    expect(text.metadata["title"]).toBe("pgvector");
  });
});
