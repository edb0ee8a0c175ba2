import { createServer, type Server } from "node:http";
import { mkdir, mkdtemp, open, rm, symlink, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { deflateRawSync, gzipSync } from "node:zlib";
import type { Document } from "@langchain/core/documents";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { LoadError } from "../../src/errors.js";
import { isPublicAddress } from "../../src/loaders/safe-address.js";
import { loadDocuments, type LoadOptions, type LoadSummary } from "../../src/loaders/index.js";
import { errorOf } from "../helpers/error-of.js";
import { zipOf } from "../helpers/zip.js";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "loader-inputs-"));
});
afterEach(() => rm(folder, { recursive: true }));

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

const texts = (documents: readonly Document[]): string[] => documents.map(({ pageContent }) => pageContent);

describe("loadDocuments: formats that are made of parts", () => {
  it("reads rows of tables with their names, and without", async () => {
    await put({
      "named.csv": 'name;role;"year of birth"\nAda;"analyst; poet";1815\n\nGrace;admiral;1906\n',
      "bare.tsv": "1\t2024-01-02\tfirst\n2\t2024-01-03\tsecond\n",
    });
    const [ada, grace] = await load("named.csv");
    expect(ada!.pageContent).toBe("name: Ada\nrole: analyst; poet\nyear of birth: 1815");
    expect(ada!.metadata).toEqual({
      source: "named.csv",
      format: "table",
      columns: ["name", "role", "year of birth"],
      row: 1,
      fields: { name: "Ada", role: "analyst; poet", "year of birth": "1815" },
    });
    expect(grace!.metadata["row"]).toBe(2);
    const bare = await load("bare.tsv");
    expect(texts(bare)).toEqual(["1\n2024-01-02\nfirst", "2\n2024-01-03\nsecond"]);
    expect(bare[0]!.metadata["fields"]).toEqual({ column1: "1", column2: "2024-01-02", column3: "first" });
    const chosen = await load("named.csv", { records: { text: ["role", "name"], metadata: ["name"], header: true } });
    expect(chosen[0]!.pageContent).toBe("analyst; poet\n\nAda");
    expect(chosen[0]!.metadata["fields"]).toEqual({ name: "Ada" });
  });

  it("reads JSON records, and names the line that is none", async () => {
    await put({
      "a.jsonl": '{"id": 1, "tags": ["x", "y"], "text": "One."}\n\n{"id": 2, "__proto__": 3}\n',
      "list.json": '[{"a": "first"}, {"a": "second"}]',
      "settings.json": '{"a": 1}',
      "tsconfig.json": '{ // comment\n "a": 1 }',
      "broken.jsonl": '{"a": 1}\n{"a": \n',
    });
    expect(texts(await load("a.jsonl"))).toEqual(["id: 1\ntags.0: x\ntags.1: y\ntext: One.", "id: 2\n__proto__: 3"]);
    expect(texts(await load("list.json"))).toEqual(["a: first", "a: second"]);
    expect(texts(await load("settings.json"))).toEqual(['{"a": 1}']);
    const notes: string[] = [];
    await load("tsconfig.json", { onNote: ({ message }) => notes.push(message) });
    expect(notes).toEqual(['"tsconfig.json" is no valid JSON; it was read as plain text.']);
    expect((await errorOf(load("broken.jsonl"))).message).toMatch(/"broken\.jsonl" has no JSON in line 2/);
  });

  it("reads subtitles with their times, without numbers and tags", async () => {
    await put({
      "a.srt":
        "1\r\n00:00:01,500 --> 00:00:03,000\r\n<i>Hello</i>\r\nthere.\r\n\r\n2\r\n00:01:00,000 --> 00:01:02,250\r\nBye.\r\n",
      "b.vtt": "WEBVTT\n\nNOTE no cue\n\nintro\n00:01.000 --> 00:02.000 align:start\n<v Ada>First words.</v>\n",
      "c.srt": "nothing here",
    });
    const [a] = await load("a.srt");
    expect([a!.pageContent, a!.metadata["time"]]).toEqual(["Hello\nthere.\nBye.", { from: 1.5, to: 62.25 }]);
    expect((await load("b.vtt"))[0]!.metadata["time"]).toEqual({ from: 1, to: 2 });
    expect((await errorOf(load("c.srt"))).message).toMatch(/no subtitles/);
  });

  it("reads slides in the order of the presentation, with tables and notes", async () => {
    const ns = 'xmlns:a="a" xmlns:p="p" xmlns:r="r"';
    const shape = (text: string, kind = ""): string =>
      `<p:sp><p:nvPr>${kind && `<p:ph type="${kind}"/>`}</p:nvPr><a:p><a:r><a:t>${text}</a:t></a:r></a:p></p:sp>`;
    const rels = (...targets: [string, string, string][]): string =>
      `<Relationships>${targets.map(([id, type, target]) => `<Relationship Id="${id}" Type="x/${type}" Target="${target}"/>`).join("")}</Relationships>`;
    const cell = (text: string): string => `<a:tc><a:p><a:r><a:t>${text}</a:t></a:r></a:p></a:tc>`;
    await put({
      "deck.pptx": zipOf({
        "ppt/presentation.xml": `<p:presentation ${ns}><p:sldIdLst><p:sldId r:id="r2"/><p:sldId r:id="r1"/></p:sldIdLst></p:presentation>`,
        "ppt/_rels/presentation.xml.rels": rels(
          ["r1", "slide", "slides/slide1.xml"],
          ["r2", "slide", "slides/slide2.xml"],
        ),
        "ppt/slides/slide1.xml": `<p:sld ${ns}>${shape("Second &amp; last", "title")}<a:tbl><a:tr>${cell("k")}${cell("v")}</a:tr></a:tbl></p:sld>`,
        "ppt/slides/slide2.xml": `<p:sld ${ns}>${shape("First", "title")}${shape("Words.")}${shape("7", "sldNum")}</p:sld>`,
        "ppt/slides/_rels/slide2.xml.rels": rels(["n", "notesSlide", "../notesSlides/notesSlide1.xml"]),
        "ppt/notesSlides/notesSlide1.xml": `<p:notes ${ns}>${shape("Say hello.")}</p:notes>`,
      }),
    });
    const slides = await load("deck.pptx");
    expect(texts(slides)).toEqual(["# First\n\nWords.\n\n## Notes\n\nSay hello.", "# Second & last\n\nk | v"]);
    expect(slides.map(({ metadata }) => metadata["loc"])).toEqual([{ pageNumber: 1 }, { pageNumber: 2 }]);
  });

  it("keeps front matter, and says when it cannot", async () => {
    await put({
      "a.md": "---\ntitle: T\ntags: [x, y]\ndate: 2024-01-02\n---\n# Heading\n",
      "b.md": "---\ntitle: [\n---\nText.\n",
    });
    const notes: string[] = [];
    const [a, b] = await load(".", { onNote: ({ message }) => notes.push(message) });
    expect(a!.metadata["frontMatter"]).toEqual({ title: "T", tags: ["x", "y"], date: "2024-01-02" });
    expect(b!.metadata).not.toHaveProperty("frontMatter");
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(/front matter of "b\.md" was left out/);
  });

  it("reads standard input", async () => {
    const stdin = (): Readable => Readable.from([Buffer.from("# He"), Buffer.from("llo\n")]);
    const [document] = await load("-", { stdin: stdin(), format: "markdown" });
    expect(document!.metadata).toEqual({ source: "stdin", format: "markdown", title: "Hello" });
    expect((await errorOf(load("-", { stdin: stdin(), maxFileBytes: 5 }))).message).toMatch(/maxFileBytes/);
  });
});

describe("loadDocuments: bad input", () => {
  it("reports each of them, and reads the rest", async () => {
    const bomb = deflateRawSync(Buffer.alloc(30 * 1024 * 1024));
    await put({
      "good.md": "# Good\n\nReadable.",
      "cut.pdf": "%PDF-1.4 broken",
      "bomb.docx": zipOf({ "word/document.xml": { deflated: bomb, size: 30 * 1024 * 1024 } }),
      "liar.docx": zipOf({ "word/document.xml": { deflated: bomb, size: 100 } }),
      "liar.epub": zipOf({ "META-INF/container.xml": { deflated: bomb, size: 100 } }),
      "binary.txt": Buffer.from(Array.from({ length: 3000 }, (_, index) => index % 32)),
      "latin.txt": Buffer.from("Gr\xfc\xdfe aus M\xfcnchen", "latin1"),
      "mostly.txt": Buffer.concat([Buffer.from("äöü ".repeat(20)), Buffer.from([0xff]), Buffer.from(" end")]),
      "japanese.txt": shiftJis(),
    });
    // A file of 1 GB without its blocks.
    const huge = await open(join(folder, "huge.txt"), "w");
    await huge.truncate(1024 ** 3);
    await huge.close();
    await symlink(folder, join(folder, "loop"));
    const skipped = new Map<string, string>();
    const notes = new Map<string, string>();
    let summary: LoadSummary | undefined;
    const before = process.memoryUsage().rss;
    const documents = await load(".", {
      maxUnpackedBytes: 20 * 1024 * 1024,
      onSkip: ({ source, error }) => skipped.set(source, error.message),
      onNote: ({ source, message }) => notes.set(source, message),
      onDone: (done) => (summary = done),
    });
    expect(documents.map(({ metadata }) => metadata["source"])).toEqual([
      "good.md",
      "japanese.txt",
      "latin.txt",
      "mostly.txt",
    ]);
    expect(Object.fromEntries(skipped)).toEqual({
      "cut.pdf": expect.stringMatching(/cannot be read as PDF/),
      "bomb.docx": expect.stringMatching(/would unpack to more than maxUnpackedBytes/),
      "liar.docx": expect.stringMatching(/cannot be read as a Word file: too many bytes/),
      "liar.epub": expect.stringMatching(/cannot be read as an EPUB book: too many bytes/),
      "binary.txt": expect.stringMatching(/binary data/),
      "huge.txt": expect.stringMatching(/1073741824 bytes, more than maxFileBytes/),
      loop: expect.stringMatching(/symbolic link, which is not followed/),
    });
    expect(Object.fromEntries(notes)).toEqual({
      "japanese.txt": '"japanese.txt" is not valid UTF-8; it was read as shift_jis.',
      "latin.txt": '"latin.txt" is not valid UTF-8; it was read as windows-1252.',
      "mostly.txt": '"mostly.txt" is UTF-8 with 1 invalid byte, read as U+FFFD.',
    });
    expect(documents[1]!.pageContent).toMatch(/^日本語/);
    expect(documents[3]!.pageContent).toMatch(/^äöü .*\ufffd end$/);
    expect(summary).toMatchObject({ files: 4, skipped: 7 });
    expect(process.memoryUsage().rss - before).toBeLessThan(500 * 1024 * 1024);
  });

  it("names a circle of symbolic links that was named itself", async () => {
    await symlink("b", join(folder, "a"));
    await symlink("a", join(folder, "b"));
    expect((await errorOf(load("a"))).message).toMatch(/lead round in a circle/);
  });
});

/** "日本語のテキストです。" and so on, as an old editor would have saved it. */
function shiftJis(): Buffer {
  const sentence =
    "93fa967b8cea82cc8365834c8358836782c582b78142834783938352815b8366834283938348" +
    "82cc8e8e8cb182f082b582c482a282dc82b78142";
  return Buffer.from(sentence.repeat(4), "hex");
}

describe("loadDocuments: web addresses", () => {
  let server: Server;
  let origin = "";
  const asked: string[] = [];

  beforeAll(async () => {
    server = createServer((request, response) => {
      asked.push(request.url ?? "");
      const path = request.url ?? "";
      if (path === "/page") {
        response.writeHead(200, { "content-type": "text/html; charset=iso-8859-1" });
        response.end(
          Buffer.from(
            "<html><head><title>Caf\xe9</title></head><body><h1>Caf\xe9</h1><p>Open.</p></body></html>",
            "latin1",
          ),
        );
      } else if (path === "/hop") response.writeHead(302, { location: "/page" }).end();
      else if (path === "/round") response.writeHead(302, { location: "/round" }).end();
      else if (path === "/file") response.writeHead(302, { location: "file:///etc/passwd" }).end();
      else if (path === "/bomb") {
        response.writeHead(200, { "content-type": "text/plain", "content-encoding": "gzip" });
        response.end(gzipSync(Buffer.alloc(5_000_000, "a")));
      } else if (path === "/slow") response.writeHead(200, { "content-type": "text/plain" }).write("a");
      else if (path === "/image") response.writeHead(200, { "content-type": "image/png" }).end("x");
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  const allow: LoadOptions = { url: { allowPrivate: true } };

  it("reads a page, follows redirects, and takes format and encoding from the answer", async () => {
    const [page] = await load(`${origin}/hop#part`, allow);
    expect(page!.pageContent).toBe("# Café\n\nOpen.");
    expect(page!.metadata).toEqual({
      source: `${origin}/hop`,
      format: "html",
      title: "Café",
      encoding: "windows-1252",
    });
  });

  it.each([
    ["/round", {}, /redirects more than 5 times/],
    ["/file", {}, /"file:\/\/\.\.\." to which|no web address/],
    ["/nothing", {}, /status 404/],
    ["/image", {}, /"image\/png", which is not supported/],
    ["/bomb", { maxFileBytes: 1_000_000 }, /more than 1000000 bytes/],
    ["/slow", { url: { allowPrivate: true, timeoutMs: 200 } }, /longer than 200 ms/],
  ] as [string, LoadOptions, RegExp][])("refuses %s", async (path, options, message) => {
    const error = await errorOf(load(`${origin}${path}`, { ...allow, ...options }));
    expect(error).toBeInstanceOf(LoadError);
    expect(error.message).toMatch(message);
  });

  it("does not connect to private addresses, by number, by name or in another notation", async () => {
    asked.length = 0;
    const port = new URL(origin).port;
    const hosts = ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"];
    for (const host of hosts) {
      expect((await errorOf(load(`http://${host}:${port}/page`))).message).toMatch(/is refused: .*private address/);
    }
    expect(asked).toEqual([]);
    expect((await errorOf(load("http://user:pw@example.com/x"))).message).not.toContain("pw@");
    for (const address of [
      "10.0.0.1",
      "169.254.169.254",
      "100.64.0.1",
      "fe80::1",
      "fc00::1",
      "64:ff9b::7f00:1",
      "::7f00:1",
    ]) {
      expect([address, isPublicAddress(address)]).toEqual([address, false]);
    }
    for (const address of ["93.184.216.34", "2606:2800:220:1::1"]) expect(isPublicAddress(address)).toBe(true);
  });

  it("reports a page that fails and goes on", async () => {
    await put({ "a.md": "# A" });
    const skipped: string[] = [];
    const documents = await load([`${origin}/nothing`, "a.md", `${origin}/page`], {
      ...allow,
      onError: "skip",
      onSkip: ({ source }) => skipped.push(source),
    });
    expect(documents).toHaveLength(2);
    expect(skipped).toEqual([`${origin}/nothing`]);
  });
});
