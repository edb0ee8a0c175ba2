import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { neighbours, parents } from "../../src/chains/index.js";
import {
  ConfigurationError,
  evaluateRetrieval,
  fitFusionWeights,
  type EvalReport,
  type LabelledQuestion,
  type PostgresVectorStore,
} from "../../src/index.js";
import { CliFolder, type CliOptions } from "../helpers/cli.js";
import { describeServer, openTestDatabase, type ServerTestDatabase, type TestDatabase } from "../helpers/database.js";
import { FILMS, openFilms } from "../helpers/films.js";
import { sharedData, sharedDataTitle } from "../helpers/shared-data.js";

const question = (id: string, text: string, ...relevant: string[]): LabelledQuestion => ({
  id,
  text,
  relevance: new Map(relevant.map((other) => [other, 1])),
});

const QUESTIONS = [
  question("1", "shark swimmers", "shark"),
  question("2", "friends at the beach", "whale"),
  question("3", "the robot", "robot", "heist"),
  question("4", "robbery dreams", "heist"),
];

const adi = sharedData("adi");

describe("evaluateRetrieval", () => {
  let database: TestDatabase;
  let store: PostgresVectorStore;

  beforeAll(async () => {
    database = await openTestDatabase();
    store = await openFilms(database, { lexical: true });
  });
  afterAll(() => database.close());

  it("measures each mode by the rankings of the store, and compares them question by question", async () => {
    const seen: string[] = [];
    const report = await evaluateRetrieval(store, QUESTIONS, {
      k: 2,
      resamples: 500,
      modes: [
        { name: "words", options: { searchType: "lexical" } },
        { name: "nothing", options: { searchType: "lexical", filter: { genre: "none" } } },
      ],
      onProgress: ({ mode, done, of }) => seen.push(`${mode} ${done}/${of}`),
    });
    const [words, nothing] = report.modes;
    // Words find the shark, the whale and the heist first; of the two for "the robot", one.
    expect(words!.questions.map(({ recall }) => recall)).toEqual([1, 1, 0.5, 1]);
    expect(words!.questions.map(({ mrr }) => mrr)).toEqual([1, 1, 1, 1]);
    expect(words!.questions[2]!.ndcg).toBeCloseTo(1 / (1 + 1 / Math.log2(3)), 12);
    expect(words!.metrics.recall.mean).toBeCloseTo(3.5 / 4, 12);
    expect(words!.metrics.map.mean).toBeCloseTo(3.5 / 4, 12);
    expect(words).toMatchObject({ empty: 0, fallback: 0 });
    expect(words!.latency.p95).toBeGreaterThanOrEqual(words!.latency.p50);
    expect(nothing).toMatchObject({ empty: 4, metrics: { ndcg: { mean: 0, low: 0, high: 0 } } });
    expect(report.comparisons).toMatchObject([{ better: "words", worse: "nothing" }]);
    expect(report.comparisons[0]!.p).toBeGreaterThanOrEqual(2 / 16 - 0.06);
    expect(report).toMatchObject({ questions: 4, k: 2, resamples: 500, seed: 1 });
    expect(seen).toHaveLength(8);
    expect(seen.at(-1)).toBe("nothing 4/4");
  });

  it("counts a document once however many of its chunks are found", async () => {
    const chunks = await openFilms(
      database,
      { lexical: true },
      FILMS.map((film, n) => ({ ...film, metadata: { source: n < 3 ? "first" : "second", n } as never })),
    );
    const { modes } = await evaluateRetrieval(chunks, [question("1", "A shark hunts swimmers", "first")], {
      k: 6,
      resamples: 100,
      idOf: ({ metadata }) => metadata["source"] as string,
      modes: [
        { name: "similarity", options: { searchType: "similarity" } },
        { name: "neighbours", options: { postProcess: [neighbours({ positionKey: "n" })] } },
        { name: "parents", options: { postProcess: [parents()] } },
      ],
    });
    expect(modes.map(({ metrics }) => metrics.ndcg.mean)).toEqual([1, 1, 1]);
    expect(modes[0]!.questions[0]!.results).toBe(6);
  });

  it("says what fell back to similarity", async () => {
    const { modes } = await evaluateRetrieval(store, [question("1", "the of and", "shark")], {
      resamples: 100,
      modes: [{ name: "lexical", options: { searchType: "lexical" } }],
    });
    expect(modes[0]).toMatchObject({ fallback: 1, empty: 0 });
  });

  it("refuses what it cannot measure, and stops when asked", async () => {
    const modes = [{ name: "a", options: {} }];
    await expect(evaluateRetrieval(store, [], { modes })).rejects.toThrow(/no question/);
    await expect(evaluateRetrieval(store, QUESTIONS, { modes: [] })).rejects.toBeInstanceOf(ConfigurationError);
    await expect(evaluateRetrieval(store, QUESTIONS, { modes: [...modes, ...modes] })).rejects.toThrow(
      /name of its own/,
    );
    await expect(evaluateRetrieval(store, QUESTIONS, { modes, k: 0 })).rejects.toThrow(/k must be/);
    await expect(evaluateRetrieval(store, QUESTIONS, { modes, resamples: 1 })).rejects.toThrow(/resamples must be/);
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(evaluateRetrieval(store, QUESTIONS, { modes, signal })).rejects.toThrow("enough");
  });

  it("fits weights to one half of the questions and measures them on the other", async () => {
    const fitted = await fitFusionWeights(store, QUESTIONS, { k: 3, resamples: 200 });
    expect(fitted.curve).toHaveLength(21);
    expect(fitted.weights.dense + fitted.weights.lexical).toBeCloseTo(1, 12);
    expect(fitted.train).toMatchObject({ questions: 2 });
    const [least, most] = [Math.min, Math.max].map((of) => of(...fitted.curve.map((point) => point.ndcg)));
    expect(fitted.train.ndcg).toBeGreaterThanOrEqual(least!);
    expect(fitted.train.ndcg).toBeLessThanOrEqual(most!);
    const { test } = fitted;
    expect(test.questions).toBe(2);
    // What is predicted from the candidates is what a search with these weights gives.
    const { modes } = await evaluateRetrieval(store, [QUESTIONS[1]!, QUESTIONS[3]!], {
      k: 3,
      resamples: 100,
      modes: [
        { name: "fitted", options: { searchType: "hybrid", weights: fitted.weights } },
        { name: "default", options: { searchType: "hybrid" } },
        { name: "dense", options: { searchType: "hybrid", weights: { dense: 1, lexical: 0 } } },
        { name: "lexical", options: { searchType: "hybrid", weights: { dense: 0, lexical: 1 } } },
      ],
    });
    expect(modes.map(({ metrics }) => metrics.ndcg.mean)).toEqual([
      test.fitted,
      test.byDefault,
      test.dense,
      test.lexical,
    ]);
    await expect(fitFusionWeights(store, QUESTIONS.slice(1))).rejects.toThrow(/at least 4/);
  });
});

describe("the verb eval", () => {
  let database: TestDatabase;
  /** In memory, or on the server of the run, which is much faster. */
  let options: CliOptions;
  let folder: CliFolder;
  beforeAll(async () => {
    database = await openTestDatabase();
    options = database.kind === "server" ? { env: { DATABASE_URL: database.ownerUrl } } : {};
  });
  afterAll(() => database.close());
  beforeEach(() => {
    folder = new CliFolder();
    folder.put({
      "films/corpus.jsonl": FILMS.map(({ id, pageContent }) => JSON.stringify({ _id: id, text: pageContent })).join(
        "\n",
      ),
      "films/queries.jsonl": QUESTIONS.map(({ id, text }) => JSON.stringify({ _id: id, text })).join("\n"),
      "films/qrels/test.tsv": `query-id\tcorpus-id\tscore\n${QUESTIONS.flatMap(({ id, relevance }) => [...relevance.keys()].map((other) => `${id}\t${other}\t1`)).join("\n")}\n`,
      "questions.jsonl": QUESTIONS.map(({ text, relevance }) =>
        JSON.stringify({ question: text, relevant: [...relevance.keys()] }),
      ).join("\n"),
    });
  });
  afterEach(() => folder.remove());

  it("measures a set in memory and writes a report that needs nothing from elsewhere", async () => {
    const args = ["eval", "films", "--modes", "lexical,hybrid,rerank,mmr,neighbours,parents", "-k", "3"];
    const { code, out, err } = await folder.run([...args, "--chunk-size", "30", "--fit", "--out", "report"]);
    expect(err.join("\n")).not.toMatch(/error/i);
    expect(code).toBe(0);
    expect(err[0]).toBe(
      "database: embedded, in memory · tenant: default · embedder: offline (matches words, not meaning)",
    );
    const read = (name: string): string => readFileSync(join(folder.path, "report", name), "utf8");
    expect(out).toBe(read("eval.md"));
    expect(out).toContain("| mode | nDCG@3 |");
    expect(out).toContain("## Weights of a hybrid search");
    const run = JSON.parse(read("eval.json")) as { set: string; report: EvalReport };
    expect(run.set).toBe("films");
    expect(run.report.modes.map(({ name }) => name)).toEqual(args[3]!.split(","));
    expect(run.report.modes[0]!.metrics.recall.mean).toBeGreaterThan(0.8);
    expect(run.report.comparisons).toHaveLength(15);
    const html = read("eval.html");
    expect(html.match(/<svg /g)).toHaveLength(6);
    expect(html).not.toMatch(/(?:src|href)=|url\(|NaN|undefined/);
  }, 180_000);

  it("takes ready vectors", async () => {
    const vectors = (rows: readonly number[][]): Uint8Array => new Uint8Array(Float32Array.from(rows.flat()).buffer);
    const axis = (index: number): number[] => Array.from({ length: 6 }, (_, at) => (at === index ? 1 : 0));
    folder.put({
      "d.f32": vectors([0, 1, 2, 3, 4, 5].map(axis)),
      // The questions point at the shark, the whale, the robot and, having no direction, at the last axis: the heist.
      "q.f32": vectors([axis(0), axis(1), axis(4), axis(9)]),
      "short.f32": new Uint8Array(10),
    });
    const args = ["eval", "films", "--modes", "similarity", "-k", "1", "--query-vectors", "q.f32"];
    const run = await folder.json<{ report: EvalReport; facts: object }>([...args, "--vectors", "d.f32"], options);
    expect(run.report.modes[0]!.questions.map(({ mrr }) => mrr)).toEqual([1, 1, 1, 1]);
    expect(run.facts).toMatchObject({ embedder: "ready vectors of 6 dimensions" });
    const { code, err } = await folder.run([...args, "--vectors", "short.f32"], options);
    expect([code, err.join("\n")]).toEqual([1, expect.stringContaining("short.f32 has 10 bytes")]);
  });

  it.each([
    [["--modes", "magic"], /There is no mode "magic"; there are similarity, lexical/],
    [["--vectors", "d.f32"], /--vectors and --query-vectors go together/],
    [["--id-key", "source"], /--id-key says which store; it goes with --existing/],
    [["--tenant", "a"], /--tenant says which store/],
    [["--weights", "0:0"], /not both 0/],
    [["--existing", "--language", "german"], /leave out --language/],
    [["--existing", "--chunk-size", "100"], /as it is; leave out --chunk-size/],
    [["--weights", "much"], /Write it like 0\.3:0\.7/],
    [["--lambda", "3", "--modes", "mmr"], /lambda must be from 0 to 1/],
  ])("refuses %s before any work", async (flags, message) => {
    const { code, err } = await folder.run(["eval", "films", ...flags]);
    expect(code).toBe(2);
    expect(err.join("\n")).toMatch(message);
  });

  it("says that a file of questions needs a store", async () => {
    const { code, err } = await folder.run(["eval", "questions.jsonl"]);
    expect([code, err.join("\n")]).toEqual([2, expect.stringMatching(/brings no documents along.*--existing/)]);
    const split = await folder.run(["eval", "questions.jsonl", "--split", "test"]);
    expect([split.code, split.err.join("\n")]).toEqual([2, expect.stringMatching(/judgements in itself/)]);
  });

  describeServer("on a server", () => {
    it("measures the store that is there, and leaves no schema of its own behind", async () => {
      const { ownerUrl, newPool } = database as ServerTestDatabase;
      const pool = newPool({ connectionString: ownerUrl });
      const own = await folder.json<{ report: EvalReport }>(["eval", "films", "--resamples", "100"], options);
      expect(own.report.modes.map(({ name }) => name)).toEqual(["similarity", "lexical", "hybrid"]);
      const schemas = async (): Promise<unknown[]> =>
        (await pool.query("select nspname from pg_namespace where nspname like 'langchain_eval%'")).rows;
      expect(await schemas()).toEqual([]);
      const abort = new AbortController();
      const interrupted = await folder.run(["eval", "films"], {
        ...options,
        signal: abort.signal,
        onErr: (line) => line.includes("of 4 questions") && abort.abort(new Error("interrupted")),
      });
      expect(interrupted.code).toBe(1);
      expect(await schemas()).toEqual([]);
      folder.put({
        "shark.md": "A shark hunts swimmers off a beach.",
        "heist.md": "Thieves plan a robbery in dreams.",
      });
      await folder.run(["ingest", "shark.md", "heist.md", "--lexical", "--table", "films"], options);
      folder.put({ "q.jsonl": '{"question": "shark swimmers", "relevant": ["shark.md"]}\n' });
      const there = await folder.json<{ report: EvalReport }>(
        ["eval", "q.jsonl", "--existing", "--table", "films", "--id-key", "source", "--seed", "5"],
        options,
      );
      expect(there.report.modes.map(({ metrics }) => metrics.mrr.mean)).toEqual([1, 1, 1]);
      expect(there.report.seed).toBe(5);
    });
  });

  describe.skipIf(adi === undefined)(sharedDataTitle("a real collection", "adi"), () => {
    it("reaches the reference of BM25 less 0.01", async () => {
      const run = await folder.json<{ report: EvalReport }>(["eval", adi!, "--modes", "lexical"], options);
      expect(run.report.modes[0]!.metrics.ndcg.mean).toBeGreaterThanOrEqual(0.4814 - 0.01);
      expect(run.report.modes[0]!.empty).toBe(0);
    });
  });
});
