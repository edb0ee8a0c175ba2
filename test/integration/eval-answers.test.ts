import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CliContext } from "../../src/cli/context.js";
import { evalAnswers, type AnswerEvalFlags } from "../../src/cli/eval/answers.js";
import { LoadError } from "../../src/errors.js";
import { readAnswerSet } from "../../src/ops/eval/answer-set.js";
import { CliFolder } from "../helpers/cli.js";
import { openTestDatabase, type TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { startOpenAIServer, type OpenAIServer } from "../helpers/openai-server.js";

const QUESTIONS = [
  { question: "What do dogs bark at?", answers: ["the postman"], documents: ["a.md"] },
  { id: "cats", question: "What do cats chase?", answers: ["mice", "rats"] },
  { question: "Who painted the Mona Lisa?" },
];

describe("evaluating answers of a store", () => {
  const folder = new CliFolder();
  let database: TestDatabase;
  let env: Record<string, string>;
  let server: OpenAIServer;
  const out: string[] = [];
  const run = async (flags: Partial<AnswerEvalFlags> = {}): Promise<string> => {
    const { signal } = new AbortController();
    const context: CliContext = {
      env,
      cwd: folder.path,
      out: (text) => out.push(text),
      write: () => undefined,
      err: () => undefined,
      signal,
    };
    out.length = 0;
    await evalAnswers(context, "questions.jsonl", { k: 5, ...flags });
    return out.join("\n");
  };

  beforeAll(async () => {
    server = await startOpenAIServer({ answer: (last) => (last.startsWith("Question:") ? "9" : "The postman [1].") });
    folder.put({
      "a.md": "Dogs bark at the postman every morning.\n",
      "b.md": "Cats chase mice through the barn at night.\n",
      "questions.jsonl": QUESTIONS.map((question) => JSON.stringify(question)).join("\n"),
    });
    // On the server of the run when there is one, else on the embedded database of the folder.
    database = await openTestDatabase();
    env = database.url === undefined ? {} : { DATABASE_URL: database.url };
    expect((await folder.run(["ingest", "a.md", "b.md"], { env })).code).toBe(0);
  });
  afterAll(async () => {
    await Promise.all([server.close(), database.close()]);
    folder.remove();
  });

  it("reports every figure as a table and as JSON", async () => {
    const text = await run();
    expect(text).toContain("3 questions, 2 of them answerable");
    expect(text).toMatch(/\| answerable questions that were answered +\| 1\.000 \|/);
    expect(JSON.parse(await run({ json: true }))).toMatchObject({ abstained: 1, holdsAnswer: 1, citationPrecision: 1 });
  });

  it("is a flag of the verb", async () => {
    const { code, out: printed } = await folder.run(["eval", "questions.jsonl", "--answers", "--json"], { env });
    expect(code).toBe(0);
    expect(JSON.parse(printed)).toMatchObject({ questions: 3, answerable: 2, answered: 1 });
  });

  it("asks a chat model and a judge", async () => {
    const model = { chatModel: "openai:writer", baseUrl: server.url, apiKey: "sk-very-secret", json: true };
    const report = JSON.parse(await run({ ...model, judge: "openai:judge" })) as Record<string, number>;
    expect(report).toMatchObject({ answered: 1, exactMatch: 0.5, judged: 0.9, abstained: 0 });
    const judged = server.requests.filter(({ body }) => body?.["model"] === "judge");
    expect(judged).toHaveLength(2);
  });

  it.each([
    ["{", "line 1: is not JSON"],
    ['{"question": " "}', "line 1: has no question"],
    ['{"question": "x", "answers": "y"}', "answers must be a list of texts"],
    ["\n", "has no question"],
  ])("refuses the file %j", async (text, message) => {
    folder.put({ "bad.jsonl": text });
    const error = await errorOf(readAnswerSet(join(folder.path, "bad.jsonl")));
    expect(error).toBeInstanceOf(LoadError);
    expect(error.message).toContain(message);
  });

  it("reads questions with and without answers", async () => {
    const path = join(folder.path, "questions.jsonl");
    expect(readFileSync(path, "utf8").split("\n")).toHaveLength(3);
    const read = await readAnswerSet(path);
    expect(read.map(({ id }) => id)).toEqual(["1", "cats", "3"]);
    expect(read[2]!.answers).toBeUndefined();
  });
});
