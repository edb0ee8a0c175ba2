import { Document } from "@langchain/core/documents";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigurationError } from "../../src/errors.js";
import { chunkId, splitDocuments, withChunkIds, type ChunkMetadata } from "../../src/loaders/index.js";

type Options = Parameters<typeof splitDocuments>[1];

async function collect(documents: AsyncIterable<Document>): Promise<Document[]> {
  const all: Document[] = [];
  for await (const document of documents) all.push(document);
  return all;
}

function split(text: string, options?: Options, metadata: Record<string, unknown> = {}): Promise<Document[]> {
  return collect(splitDocuments([new Document({ pageContent: text, metadata })], options));
}

function where(chunk: Document): ChunkMetadata {
  return chunk.metadata as unknown as ChunkMetadata;
}

/** Text with everything that makes cutting hard: repeats, all line ends, blocks, headings, long words, wide characters. */
const anyText = fc
  .array(
    fc.oneof(
      fc.constantFrom("\n", "\r\n", "\n\n", " ", "\t", "    ", "\n\n\n\n", "```\n", "~~~\n", "\n---\n", "\n===\n"),
      fc.constantFrom(
        "# One\n",
        "\n## Two\n\n",
        "\n### Three ###\r\n",
        "the same words again",
        "A sentence. Another! ",
      ),
      fc.constantFrom("def f():\n    return 1\n", "東京は日本の首都です。", "👩‍🚀🚀", "\u00a0", "x".repeat(70)),
      fc.string({ unit: "binary", maxLength: 30 }),
      fc.lorem({ maxCount: 12, mode: "sentences" }),
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(""));

const anyFormat = fc.constantFrom("text", "markdown", "html", "pdf", "code");
const anyLimits = fc
  .integer({ min: 2, max: 300 })
  .chain((chunkSize) => fc.record({ chunkSize: fc.constant(chunkSize), chunkOverlap: fc.nat({ max: chunkSize - 1 }) }));

function forAll(check: (text: string, chunks: Document[], chunkSize: number) => void): Promise<void> {
  return fc.assert(
    fc.asyncProperty(anyText, anyFormat, anyLimits, async (text, format, limits) => {
      check(text, await split(text, limits, { source: "a", format }), limits.chunkSize);
    }),
    { numRuns: 400 },
  );
}

describe("splitDocuments, for any text, format and limits", () => {
  it("gives slices of the text that fit, with their lines", () =>
    forAll((text, chunks, chunkSize) => {
      for (const chunk of chunks) {
        const { offset, loc } = where(chunk);
        expect(text.slice(offset.start, offset.end)).toBe(chunk.pageContent);
        expect(chunk.pageContent.length).toBeLessThanOrEqual(chunkSize);
        expect(chunk.pageContent.trim()).not.toBe("");
        expect(loc.lines.from).toBe(text.slice(0, offset.start).split("\n").length);
        expect(loc.lines.to).toBe(text.slice(0, offset.end).split("\n").length);
      }
    }));

  it("loses nothing but white space", () =>
    forAll((text, chunks) => {
      let lost = "";
      let covered = 0;
      for (const chunk of chunks) {
        const { start, end } = where(chunk).offset;
        lost += text.slice(covered, start);
        covered = Math.max(covered, end);
      }
      lost += text.slice(covered);
      expect(lost.trim()).toBe("");
    }));

  it("moves forward with every chunk and never cuts a surrogate pair", () =>
    forAll((text, chunks) => {
      const starts = chunks.map((chunk) => where(chunk).offset.start);
      const ends = chunks.map((chunk) => where(chunk).offset.end);
      for (const positions of [starts, ends]) {
        expect(positions).toEqual([...new Set(positions)].toSorted((a, b) => a - b));
        for (const position of positions) {
          expect(text.slice(position - 1, position + 1)).not.toMatch(/^[\ud800-\udbff][\udc00-\udfff]$/);
        }
      }
    }));

  it("gives ids that are unique in the file and the same every time", () =>
    fc.assert(
      fc.asyncProperty(anyText, anyFormat, anyLimits, async (text, format, limits) => {
        const ids = (await split(text, limits, { source: "a", format })).map((chunk) => chunk.id);
        expect(new Set(ids).size).toBe(ids.length);
        expect((await split(text, limits, { source: "a", format })).map((chunk) => chunk.id)).toEqual(ids);
      }),
    ));
});

describe("splitDocuments", () => {
  it("repeats at most chunkOverlap characters, and none with an overlap of 0", async () => {
    const text = Array.from({ length: 200 }, (_, index) => `Sentence number ${index} ends here.`).join(" ");
    for (const [chunkOverlap, least] of [
      [0, -1],
      [40, 1],
      [120, 60],
    ] as const) {
      const chunks = await split(text, { chunkSize: 300, chunkOverlap });
      const repeated = chunks.slice(1).map((chunk, i) => where(chunks[i]!).offset.end - where(chunk).offset.start);
      expect(Math.max(...repeated)).toBeLessThanOrEqual(chunkOverlap);
      expect(Math.min(...repeated)).toBeGreaterThanOrEqual(least);
    }
  });

  it("cuts prose behind sentences", async () => {
    const text = Array.from({ length: 60 }, (_, index) => `Here is sentence ${index}\nover two lines.`).join(" ");
    const chunks = await split(text, { chunkSize: 200, chunkOverlap: 0 });
    expect(chunks.length).toBeGreaterThan(5);
    for (const chunk of chunks) expect(chunk.pageContent).toMatch(/^Here .*\.$/s);
  });

  it("cuts code at line ends and keeps the indentation", async () => {
    const text = Array.from({ length: 60 }, (_, index) => `    call(${index}); // Do. It. Now.`).join("\n");
    const chunks = await split(text, { chunkSize: 200, chunkOverlap: 50 }, { source: "a.ts" });
    expect(chunks.length).toBeGreaterThan(5);
    for (const chunk of chunks) expect(chunk.pageContent).toMatch(/^ {4}call.*Now\.$/s);
  });

  it("counts a Windows line end as one line and two characters", async () => {
    const chunks = await split("one\r\ntwo\r\n\r\nthree", { chunkSize: 8, chunkOverlap: 0 });
    expect(chunks.map((chunk) => [chunk.pageContent, where(chunk).loc.lines, where(chunk).offset])).toEqual([
      ["one\r\ntwo", { from: 1, to: 2 }, { start: 0, end: 8 }],
      ["three", { from: 4, to: 4 }, { start: 12, end: 17 }],
    ]);
  });

  it("keeps the page and the other metadata, and counts lines from the top of the page", async () => {
    const [chunk] = await split("\nHello", {}, { source: "a.pdf", title: "T", loc: { pageNumber: 7 } });
    expect(chunk?.metadata).toEqual({
      source: "a.pdf",
      title: "T",
      loc: { pageNumber: 7, lines: { from: 2, to: 2 } },
      offset: { start: 1, end: 6 },
    });
  });

  it("has no chunk for white space", async () => {
    expect(await split(" \n\t\r\n ")).toEqual([]);
    expect(await split("")).toEqual([]);
  });

  it("takes time in proportion to a text without line ends or blanks", async () => {
    const started = performance.now();
    const chunks = await split("x".repeat(5_000_000));
    expect(chunks.length).toBeGreaterThan(5000);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it.each([{ chunkSize: 1 }, { chunkSize: 1.5 }, { chunkSize: 100, chunkOverlap: 100 }, { chunkOverlap: -1 }])(
    "refuses %j before it reads anything",
    (options) => {
      expect(() => splitDocuments([], options)).toThrow(ConfigurationError);
    },
  );
});

function markdown(text: string, options?: Options): Promise<Document[]> {
  return split(text, options, { source: "a.md" });
}

function headingsOf(chunks: Document[]): unknown[] {
  return chunks.map((chunk) => chunk.metadata["headings"]);
}

function section(name: string): string {
  return `## ${name}\n\nText of ${name}.\n\n`;
}

function page(source: string): Document {
  return new Document({ pageContent: "same", metadata: { source } });
}

describe("splitDocuments of Markdown", () => {
  it("never mixes two top sections, and names the headings above each chunk", async () => {
    const text = "# Guide\n\nIntro.\n\n## Install\n\nRun it.\n\n### Linux\n\nUse apt.\n\n## Use\n\nCall it.\n";
    const chunks = await markdown(text);
    expect(chunks.map((chunk) => chunk.pageContent)).toEqual([
      "# Guide\n\nIntro.",
      "## Install\n\nRun it.\n\n### Linux\n\nUse apt.",
      "## Use\n\nCall it.",
    ]);
    expect(headingsOf(chunks)).toEqual([["Guide"], ["Guide", "Install"], ["Guide", "Use"]]);
  });

  it("does not leave a heading alone in a chunk", async () => {
    const chunks = await markdown("# Guide\n\n## Install\n\nRun it.\n\n## Use\n\nCall it.\n");
    expect(chunks[0]?.pageContent).toBe("# Guide\n\n## Install\n\nRun it.");
    expect(headingsOf(chunks)).toEqual([
      ["Guide", "Install"],
      ["Guide", "Use"],
    ]);
    const long = "## A\n\n" + "Some words here. ".repeat(20) + "\n\n### B\n\n" + "More words here. ".repeat(20);
    for (const chunk of await markdown(long, { chunkSize: 360, chunkOverlap: 0 })) {
      expect(chunk.pageContent).not.toMatch(/#+ \w+$/);
    }
  });

  it("narrows the path of a chunk that holds several subsections to what they share", async () => {
    const chunks = await markdown("## A\n\n### One\n\nx\n\n### Two\n\ny\n\n## B\n\nz\n");
    expect(headingsOf(chunks)).toEqual([["A"], ["B"]]);
  });

  it("knows underlined headings, closing marks, links in headings and front matter", async () => {
    const text = "---\n# no heading\n---\nTop\n===\n\nt\n\nSub\n---\n\ns\n\n## [Link](x) `c` ##\n\nl\n\n- item\n---\n";
    const chunks = await markdown(text, { chunkSize: 20, chunkOverlap: 0 });
    expect(new Set(headingsOf(chunks).map((path) => JSON.stringify(path)))).toEqual(
      new Set([undefined, '["Top"]', '["Top","Sub"]', '["Top","Link c"]']),
    );
  });

  it("does not take a comment in a code block for a heading", async () => {
    const chunks = await markdown("## A\n\n```sh\n# one\n# two\n```\n\n~~~~\n~~~\n# three\n~~~~\n\n## B\n\nb\n");
    expect(headingsOf(chunks)).toEqual([["A"], ["B"]]);
  });

  it("cuts no code block that fits into a chunk", async () => {
    const parts = fc.array(fc.record({ words: fc.nat({ max: 60 }), lines: fc.nat({ max: 16 }) }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(parts, fc.nat({ max: 150 }), async (shape, chunkOverlap) => {
        const blocks = shape.map(({ lines }, i) => "```\n" + `line ${i}. Ends.\n\n`.repeat(lines) + "```");
        const text = shape.map(({ words }, i) => "word ".repeat(words) + `:\n\n${blocks[i]}\n\n`).join("");
        const chunks = await markdown(text, { chunkSize: 300, chunkOverlap });
        const short = blocks.filter((block) => block.length <= 300);
        const cut = short.filter((block) => !chunks.some((chunk) => chunk.pageContent.includes(block)));
        expect(cut).toEqual([]);
      }),
    );
  });
});

describe("chunk ids", () => {
  it("are UUIDs that depend on source, text and ordinal, and do not change between releases", () => {
    expect(chunkId("a.md", "text", 0)).toBe("666b1339-cafa-8e1d-a938-34ef4a804779");
    const ids = [chunkId("a", "bc", 0), chunkId("ab", "c", 0), chunkId("a", "bc", 1), chunkId("a", "\ud800", 0)];
    expect(new Set([...ids, chunkId("a", "\ud801", 0)]).size).toBe(5);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it("tell equal chunks of a file apart, across its pages too, and start again with the next file", async () => {
    const chunks = await collect(withChunkIds([page("a"), page("a"), page("b")]));
    expect(chunks.map((chunk) => chunk.id)).toEqual([
      chunkId("a", "same", 0),
      chunkId("a", "same", 1),
      chunkId("b", "same", 0),
    ]);
  });

  it("stay when another part of the file changes", async () => {
    const metadata = { source: "a.md" };
    const before = await split(section("A") + section("B"), {}, metadata);
    const after = await split(section("A") + section("New") + section("B"), {}, metadata);
    expect(after.map((chunk) => chunk.id)).toEqual(expect.arrayContaining(before.map((chunk) => chunk.id)));
  });
});
