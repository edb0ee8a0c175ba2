import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { runScript } from "../../scripts/run-script.js";
import { ROOT, typeCheck } from "../../scripts/type-check.js";
import { markdownSnippets, type Snippet } from "../helpers/markdown-snippets.js";

const guides = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"));
const snippets = ["README.md", ...guides.map((name) => `docs/${name}`)].flatMap((file) =>
  markdownSnippets(readFileSync(join(ROOT, file), "utf8")).map((snippet) => ({ ...snippet, file })),
);
const runnable = snippets.filter(({ run }) => run);

/** Guides whose snippets follow on from each other; `test/integration` runs them. */
const PROGRAMS = ["docs/langchain.md"];

/**
 * What a snippet of a guide may use without saying where it comes from, unless it declares the name itself. The README
 * and whatever runs gets none of it.
 */
const GIVEN = `
import type { Document } from "@langchain/core/documents";
import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import type pg from "pg";
import type { PostgresVectorStore } from "langchain-pgvector";
declare global {
  const connectionString: string;
  const documents: Document[];
  const embeddings: EmbeddingsInterface;
  const pool: pg.Pool;
  const store: PostgresVectorStore;
}
`;

/** Like `README.md:12: message`. Each element is a module, made of one snippet or of several of one file. */
function problemsOf(modules: readonly (readonly (Snippet & { file: string })[])[], given?: string): string[] {
  const sources = new Map(
    modules.map((parts) => [join(ROOT, `${parts[0]!.file}-${parts[0]!.line}.ts`), inPlace(parts)]),
  );
  if (given !== undefined) sources.set(join(ROOT, "given.d.ts"), given);
  // A snippet may show a declaration that it does not use.
  const problems = typeCheck(sources, { noUnusedLocals: false, noUnusedParameters: false });
  return problems.map(
    ({ file, line, message }) => `${relative(ROOT, file).replace(/-\d+\.ts$/, "")}:${line}: ${message}`,
  );
}

/** The code on the very lines that it has in its file, so that the compiler's line numbers are the file's. */
function inPlace(parts: readonly Snippet[]): string {
  const text = parts.reduce(
    (before, { line, code }) => before.padEnd(before.length + line - lines(before), "\n") + code,
    "",
  );
  // Without an import or an export it would be a script, which has no top-level await.
  return `${text}export {};\n`;
}

function lines(text: string): number {
  return text.split("\n").length;
}

describe("the snippets of the README and the guides", () => {
  const alone = snippets.filter(({ file, run }) => file === "README.md" || run);
  const guided = snippets.filter((snippet) => !alone.includes(snippet));

  it("are found", () => {
    expect(snippets.filter(({ file }) => file === "README.md").length).toBeGreaterThanOrEqual(2);
    expect(runnable.map(({ file }) => file)).toContain("README.md");
  });

  it("compile alone, those of the README and those that run", () => {
    expect(problemsOf(alone.map((snippet) => [snippet]))).toEqual([]);
  });

  it("compile as a program, those of a guide that is one", () => {
    const programs = PROGRAMS.map((guide) => snippets.filter(({ file }) => file === guide));
    expect(problemsOf(programs)).toEqual([]);
  });

  it("compile, those of the other guides, given a store", () => {
    const others = guided.filter(({ file }) => !PROGRAMS.includes(file));
    expect(
      problemsOf(
        others.map((snippet) => [snippet]),
        GIVEN,
      ),
    ).toEqual([]);
  });

  it.each(runnable)("print what $file says, at line $line", ({ file, line, code, prints }) => {
    const folder = join(ROOT, ".cache/snippets");
    const path = join(folder, `${file.replaceAll(/\W/g, "-")}-${line}.ts`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, `${code}export {};\n`);
    try {
      const { status, stdout, stderr } = runScript(path);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(stdout).toBe(prints ?? "");
    } finally {
      rmSync(path);
    }
  });
});

describe("markdownSnippets", () => {
  const fence = "```";

  it("finds ts blocks with their lines, marks and printed text", () => {
    const markdown = `# Title
${fence}bash
npm test
${fence}
<!-- run -->

${fence}ts
console.log(1);
${fence}

${fence}text
1
${fence}
- in a list:
  ${fence}ts
  if (a) {
    b();
  }
  ${fence}
A sentence.
${fence}text
not its output
${fence}`;
    expect(markdownSnippets(markdown)).toEqual([
      { line: 8, code: "console.log(1);\n", run: true, prints: "1\n" },
      { line: 16, code: "if (a) {\n  b();\n}\n", run: false, prints: undefined },
    ]);
  });

  it("leaves alone what a longer fence holds", () => {
    expect(markdownSnippets(`${fence}\`md\n${fence}ts\nx\n${fence}\n${fence}\`\n`)).toEqual([]);
  });

  it("is checked in earnest: a wrong snippet is a problem with its line", () => {
    const snippet = {
      file: "guide.md",
      line: 7,
      code: "const a = 1;\nstore.nothing();\n",
      run: false,
      prints: undefined,
    };
    expect(problemsOf([[snippet]], GIVEN)).toEqual([
      "guide.md:8: Property 'nothing' does not exist on type 'PostgresVectorStore'.",
    ]);
    expect(problemsOf([[snippet]])).toEqual(["guide.md:8: Cannot find name 'store'."]);
  });
});
