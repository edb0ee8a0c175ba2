import { Document } from "@langchain/core/documents";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigurationError } from "../../src/errors.js";
import { splitDocuments, type ChunkMetadata, type SplitOptions, type Splitter } from "../../src/loaders/index.js";
import { loadTokenizer } from "../../src/loaders/splitters/token-spans.js";

type Chunk = Document & { metadata: ChunkMetadata & Record<string, unknown> };

async function split(text: string, options: SplitOptions, source = "a.md"): Promise<Chunk[]> {
  const chunks: Chunk[] = [];
  const document = new Document({ pageContent: text, metadata: { source } });
  for await (const chunk of splitDocuments([document], options)) chunks.push(chunk as Chunk);
  return chunks;
}

const words = fc.constantFrom(
  "word",
  "a",
  "Ünïcode",
  "日本語",
  "😀",
  "x".repeat(90),
  "3.14",
  "end.",
  "Why?",
  "# Title",
  "## Part",
  "- item",
  "a | b",
  "```",
  "def f():",
  "function g() {",
  "\n",
  "\n\n",
  "\r\n",
  "  ",
  "\t",
);
const texts = fc.array(words, { maxLength: 120 }).map((parts) => parts.join(" "));
const NAMES: Splitter[] = ["auto", "recursive", "markdown", "code", "token", "sentence-window", "parent-child"];

describe.each(NAMES)("the splitter %s", (splitter) => {
  it("gives slices with their lines, in order, and loses nothing but white space", async () => {
    await fc.assert(
      fc.asyncProperty(texts, fc.integer({ min: 2, max: 60 }), async (text, chunkSize) => {
        const chunks = await split(text, { splitter, chunkSize, parentChunkSize: 80 }, "a.py");
        const covered = new Uint8Array(text.length);
        let last = -1;
        for (const { pageContent, metadata } of chunks) {
          const { start, end } = metadata.offset;
          expect(text.slice(start, end)).toBe(pageContent);
          expect(pageContent.trim()).not.toBe("");
          expect(start).toBeGreaterThan(last);
          last = start;
          expect(metadata.loc.lines.from).toBe(text.slice(0, start).split("\n").length);
          expect(metadata.loc.lines.to).toBe(text.slice(0, end).split("\n").length);
          if (splitter !== "token") expect(pageContent.length).toBeLessThanOrEqual(chunkSize);
          covered.fill(1, start, end);
        }
        for (let at = 0; at < text.length; at += 1) if (covered[at] === 0) expect(text[at]).toMatch(/\s/);
        expect(new Set(chunks.map(({ id }) => id)).size).toBe(chunks.length);
      }),
      { numRuns: 60 },
    );
  });
});

describe("splitters", () => {
  it("counts tokens as the model does, and never too few", async () => {
    const text = "The quick brown fox jumps over the lazy dog, 1,234 times; naïve façade.\n\n".repeat(20);
    const tokenizer = await loadTokenizer();
    const chunks = await split(text, { splitter: "token", chunkSize: 50, chunkOverlap: 10 });
    const counts = chunks.map(({ pageContent }) => tokenizer.encode(pageContent).length);
    expect(Math.max(...counts)).toBeLessThanOrEqual(50);
    expect(Math.min(...counts.slice(0, -1))).toBeGreaterThan(42);
    for (const [index, { metadata }] of chunks.entries()) {
      if (index > 0) expect(metadata.offset.start).toBeLessThan(chunks[index - 1]!.metadata.offset.end);
    }
  });

  it("cuts source code at declarations, with the comments above them", async () => {
    const body = "  // does something that takes a line\n".repeat(6);
    const code = ["first", "second", "third"]
      .map((name) => `/**\n * Says ${name}.\n */\nexport async function ${name}() {\n${body}}\n`)
      .join("\n");
    const chunks = await split(code, { chunkSize: 600, chunkOverlap: 50 }, "a.ts");
    expect(chunks.map(({ pageContent }) => /Says (\w+)/.exec(pageContent)?.[1])).toEqual(["first", "third"]);
    expect(chunks[1]!.pageContent).toMatch(/^\/\*\*\n \* Says third/);
    const python = `import os\n\n${["a", "b"].map((name) => `@cached\ndef ${name}(x):\n${"    return x  # yes\n".repeat(8)}`).join("\n")}`;
    const [, second] = await split(python, { chunkSize: 200, chunkOverlap: 0 }, "m.py");
    expect(second!.pageContent).toMatch(/^@cached\ndef b/);
  });

  it("gives a sentence its window", async () => {
    const sentences = Array.from({ length: 9 }, (_, n) => `This is the sentence with the number ${n} of the text.`);
    const text = sentences.join(" ");
    const chunks = await split(text, { splitter: "sentence-window", windowSentences: 2 });
    expect(chunks.map(({ pageContent }) => pageContent)).toEqual(sentences);
    const { start, end } = chunks[4]!.metadata.window!;
    expect(text.slice(start, end)).toBe(sentences.slice(2, 7).join(" "));
    expect(chunks[0]!.metadata.window!.start).toBe(0);
  });

  it("gives children the id that their parent has in a store of its own", async () => {
    const part = (n: number): string => `## Part ${n}\n\n${`Sentence of part ${n}. `.repeat(40)}\n\n`;
    const text = `# Book\n\n${part(1)}${part(2)}`;
    const options = { parentChunkSize: 1000, chunkSize: 200 };
    const children = await split(text, { ...options, splitter: "parent-child" });
    const parents = await split(text, { chunkSize: 1000, chunkOverlap: 0 });
    expect(parents.length).toBeLessThan(children.length / 3);
    expect([...new Set(children.map(({ metadata }) => metadata.parentId))]).toEqual(parents.map(({ id }) => id));
    for (const { metadata } of children) {
      const parent = parents.find(({ id }) => id === metadata.parentId)!;
      expect(metadata.parent).toEqual(parent.metadata.offset);
      expect(metadata.headings).toEqual(parent.metadata.headings);
    }
  });

  it("tells a chunk further down in a table what its columns are", async () => {
    const rows = Array.from({ length: 30 }, (_, n) => `row ${n} | value ${n}`).join("\n");
    const chunks = await split(`# T\n\nName | Value\n${rows}\n`, { chunkSize: 200, chunkOverlap: 0 });
    expect(chunks[0]!.metadata.tableHeader).toBeUndefined();
    expect(chunks.slice(1).map(({ metadata }) => metadata.tableHeader)).toEqual(
      chunks.slice(1).map(() => ["Name", "Value"]),
    );
  });

  it("refuses what cannot be", () => {
    for (const options of [
      { splitter: "words" as Splitter },
      { splitter: "parent-child", parentChunkSize: 100 },
      { windowSentences: -1 },
      { chunkOverlap: 1000 },
    ] as SplitOptions[]) {
      expect(() => splitDocuments([], options)).toThrow(ConfigurationError);
    }
  });
});
