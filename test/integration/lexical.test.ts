import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import { Database } from "../../src/db/database.js";
import type { SearchHit } from "../../src/index.js";
import { DEFAULT_WEIGHTS, fuse } from "../../src/store/fusion/fusion.js";
import { ensureSchema } from "../../src/schema/ensure.js";
import { resolveOptions } from "../../src/store/options.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

let database: TestDatabase;
let tables = 0;

beforeAll(async () => {
  database = await openTestDatabase();
});

afterAll(() => database.close());

const embeddings = new HashedEmbeddings();
const argsOf = (args: PostgresVectorStoreArgs = {}): PostgresVectorStoreArgs => ({
  pool: database.pool,
  tableName: `lexical_${(tables += 1)}`,
  lexical: true,
  ...testSchema(),
  ...args,
});
const open = (args?: PostgresVectorStoreArgs): Promise<PostgresVectorStore> =>
  PostgresVectorStore.initialize(embeddings, argsOf(args));
const doc = (id: string, pageContent: string, metadata: Record<string, unknown> = {}) => ({
  id,
  pageContent,
  metadata,
});
const found = async (store: PostgresVectorStore, query: string, k = 10): Promise<string[]> =>
  (await store.search(query, { searchType: "lexical", k })).filter((hit) => hit.lexical).map((hit) => hit.document.id!);

/** Small and seeded, so that a failure comes again. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % below;
  };
}

const WORDS =
  "index vector tenant search posting segment query planner vacuum tuple buffer cache lock trigger schema".split(" ");

describe("scores", () => {
  /** BM25 as Lucene computes it, over the terms that Postgres makes of the texts. */
  async function reference(texts: ReadonlyMap<string, string>, query: string): Promise<Map<string, number>> {
    const split = async (text: string): Promise<Map<string, number>> => {
      const { rows } = await database.pool.connect().then(async (client) => {
        try {
          return await client.query({
            text: "select lexeme, cardinality(positions) as n from unnest(to_tsvector('english', $1::text))",
            values: [text],
          });
        } finally {
          client.release();
        }
      });
      return new Map(rows.map((row) => [row["lexeme"] as string, Number(row["n"])]));
    };
    const documents = new Map<string, Map<string, number>>();
    for (const [id, text] of texts) documents.set(id, await split(text));
    const length = (terms: Map<string, number>): number => [...terms.values()].reduce((sum, n) => sum + n, 0);
    const average = [...documents.values()].reduce((sum, terms) => sum + length(terms), 0) / documents.size;
    const scores = new Map<string, number>();
    for (const [term, weight] of await split(query)) {
      const having = [...documents].filter(([, terms]) => terms.has(term));
      const idf = Math.log(1 + (documents.size - having.length + 0.5) / (having.length + 0.5));
      for (const [id, terms] of having) {
        const tf = terms.get(term)!;
        const part = (weight * idf * tf) / (tf + 1.2 * (1 - 0.6 + (0.6 * length(terms)) / average));
        scores.set(id, (scores.get(id) ?? 0) + part);
      }
    }
    return scores;
  }

  it("equal those of an index built afresh after random writes and a compaction", async () => {
    const store = await open();
    const random = randomOf(5);
    const texts = new Map<string, string>();
    const sentence = (): string => Array.from({ length: 3 + random(20) }, () => WORDS[random(WORDS.length)]).join(" ");
    for (let step = 0; step < 150; step += 1) {
      const batch = Array.from({ length: 1 + random(6) }, () => `doc ${random(120)}`);
      if (step % 4 === 3) {
        await store.delete({ ids: batch });
        for (const id of batch) texts.delete(id);
      } else {
        const documents = [...new Set(batch)].map((id) =>
          doc(id, random(5) === 0 ? (texts.get(id) ?? sentence()) : sentence()),
        );
        await store.addDocuments(documents);
        for (const { id, pageContent } of documents) texts.set(id, pageContent);
      }
      // Ids never come back twice, whatever stale postings there are.
      if (step % 30 === 29) {
        const ids = await found(store, "index vector tenant", 1_000);
        expect(new Set(ids).size).toBe(ids.length);
        expect(ids.every((id) => texts.has(id))).toBe(true);
      }
    }
    await store.lexical.compact();
    expect(await store.lexical.state()).toMatchObject({ chunks: texts.size, dead: 0, segments: 1 });
    for (const query of ["index vector", "planner vacuum tuple tuple", "schema"]) {
      const expected = await reference(texts, query);
      const hits = await store.search(query, { searchType: "lexical", k: 1_000 });
      expect(hits.map((hit) => hit.document.id).sort()).toEqual([...expected.keys()].sort());
      for (const hit of hits) expect(hit.lexical!.bm25).toBeCloseTo(expected.get(hit.document.id!)!, 9);
      expect(hits.every((hit, i) => i === 0 || hits[i - 1]!.score >= hit.score)).toBe(true);
      expect(hits[0]!.score).toBeLessThanOrEqual(1);
    }
  });

  it("settles small writes into few segments by itself", async () => {
    const store = await open();
    for (let i = 0; i < 80; i += 1)
      await store.addDocuments([doc(String(i), `${WORDS[i % WORDS.length]} number ${i}`)]);
    const { segments, chunks } = await store.lexical.state();
    expect(chunks).toBe(80);
    expect(segments).toBeLessThan(20);
    expect(await found(store, "79")).toEqual(["79"]);
    for (let i = 0; i < 60; i += 1) await store.delete({ ids: [String(i)] });
    expect((await store.lexical.state()).dead).toBeLessThan(10);
  });

  it("follow any SQL that writes to the table", async () => {
    const store = await open();
    await store.addDocuments([doc("1", "alpha beta"), doc("2", "gamma")]);
    await store.pool.query(`update ${store.computedTableName} set text = 'delta' where id = '1'`);
    expect(await found(store, "alpha")).toEqual([]);
    expect(await found(store, "delta")).toEqual(["1"]);
    await store.pool.query(`update ${store.computedTableName} set metadata = '{"a": 1}'`);
    expect((await store.lexical.state()).chunks).toBe(3);
    await store.pool.query(`delete from ${store.computedTableName} where id = '1'`);
    expect(await found(store, "delta")).toEqual([]);
    await store.expire({ olderThanMs: 0 });
    expect(await found(store, "gamma")).toEqual([]);
  });
});

describe("queries", () => {
  let store: PostgresVectorStore;
  beforeAll(async () => {
    store = await open({ tableName: "lexical_queries" });
    await store.addDocuments([
      doc("hnsw", "Set hnsw.ef_search before a query; ERR_1234 means that it was too low."),
      doc("cpp", "A driver written in C++, and another one in C#."),
      doc("scan", "An index only scan reads the visibility map."),
      doc("map", "The map shows where only the index is read, no scan."),
      doc("optimizer", "The optimizer optimizes; optimisation is its business."),
      doc("zh", "向量数据库使用索引来搜索文档。"),
      doc("ja", "ベクトル検索は文書を見つけます。"),
    ]);
  });

  it.each([
    ["any word of a question", "what does the visibility of a driver mean?", ["cpp", "hnsw", "scan"]],
    ["a name with dots and underscores", "hnsw.ef_search", ["hnsw"]],
    ["the part behind the dot", "ef_search", ["hnsw"]],
    ["a code", "err_1234", ["hnsw"]],
    ["C++", "c++", ["cpp"]],
    ["a phrase", '"index only scan"', ["scan"]],
    ["one phrase or another", '"visibility map" OR "driver written"', ["cpp", "scan"]],
    ["words without an excluded one", "index -visibility", ["map"]],
    ["words without an excluded phrase", 'index -"index only scan"', ["map"]],
    ["a beginning", "visib*", ["scan"]],
    ["a misspelt word", "visibilty", ["scan"]],
    ["Chinese", "索引", ["zh"]],
    ["Chinese, as a phrase", '"搜索文档"', ["zh"]],
    ["Japanese", "検索", ["ja"]],
  ])("finds %s", async (_, query, ids) => {
    expect((await found(store, query)).sort()).toEqual(ids);
  });

  it("says which terms matched", async () => {
    const [hit] = await store.search("visibility of indexes", { searchType: "lexical", k: 1 });
    expect(hit!.lexical).toMatchObject({ rank: 1, terms: ["index", "visibl"] });
  });

  it.each([["the of and"], [""], ["   "], ["!!! ??"], ["-"], ['""']])(
    "searches by vector for %j, and says so",
    async (query) => {
      for (const searchType of ["lexical", "hybrid"] as const) {
        const hits = await store.search(query, { searchType, k: 2 });
        expect(hits).toHaveLength(2);
        expect(hits.every((hit) => hit.fallback === "similarity" && hit.lexical === undefined)).toBe(true);
      }
    },
  );

  it.each([
    ["'; drop table lexical_queries; --"],
    ["\\ ' \" ` $1 :* & | ! <-> ()"],
    ["a".repeat(10_000)],
    ["index ".repeat(1_700)],
    ["x* y* z* \0 \ud800 -\"'"],
    [Array.from({ length: 2_000 }, (_, i) => `word${i}`).join(" ")],
    ['"" "- OR OR -OR "a OR'],
    ["quote'd -'x ''"],
    ["back\\slash_name a\\_b 'c_d'"],
  ])("takes %.30s", async (query) => {
    for (const searchType of ["lexical", "hybrid"] as const) {
      expect(Array.isArray(await store.search(query, { searchType, k: 3 }))).toBe(true);
    }
  });

  it("searches in the language of the store, of the document and of the query", async () => {
    const german = await open({ lexical: { language: "de", languageKey: "lang" } });
    await german.addDocuments([
      doc("häuser", "Die Häuser der Stadt"),
      doc("houses", "The houses of the cities", { lang: "en" }),
      doc("odd", "Häuser", { lang: "klingon" }),
    ]);
    expect((await found(german, "Haus")).sort()).toEqual(["häuser", "odd"]);
    const english = await german.search("city", { searchType: "lexical", language: "en" });
    expect(english.map((hit) => hit.document.id)).toEqual(["houses"]);
    expect((await errorOf(german.search("x", { searchType: "lexical", language: "no such' language" }))).name).toBe(
      "ConfigurationError",
    );
  });

  it("folds accents where that is asked for", async () => {
    const folding = await open({ lexical: { language: "simple", unaccent: true } });
    await folding.addDocuments([doc("1", "Café crème"), doc("2", "tea")]);
    expect(await found(folding, "cafe")).toEqual(["1"]);
    expect(await found(folding, "CRÈME")).toEqual(["1"]);
  });

  it("takes texts of any length", async () => {
    const long = await open();
    const words = Array.from({ length: 200_000 }, (_, i) => `w${i.toString(36)}`).join(" ");
    await long.addDocuments([doc("long", `${words} needle`), doc("empty", " "), doc("short", "needle needle")]);
    expect(await found(long, "needle")).toEqual(["short", "long"]);
    expect(await found(long, "w3yz")).toEqual(["long"]);
  });
});

describe("hybrid", () => {
  it("joins both rankings in one statement, with the filter in both", async () => {
    const store = await open({ searchType: "hybrid" });
    await store.addDocuments([
      doc("1", "apples and pears", { kind: "fruit" }),
      doc("2", "apples are computers", { kind: "tool" }),
      doc("3", "bananas", { kind: "fruit" }),
    ]);
    const hits = await store.search("apples", { k: 3, filter: { kind: "fruit" }, includeEmbeddings: true });
    expect(hits.map((hit) => hit.document.id)).toEqual(["1", "3"]);
    expect(hits[0]).toMatchObject({ lexical: { rank: 1, terms: ["appl"] }, dense: {} });
    expect(hits[0]!.embedding).toHaveLength(16);
    expect(hits[0]!.score).toBeGreaterThan(hits[1]!.score);
    const [[, distance]] = (await store.similaritySearchWithScore("apples", 1)) as [[unknown, number]];
    expect(distance).toBeGreaterThanOrEqual(0);
    expect((await store.asRetriever({ k: 1, searchType: "lexical" }).invoke("bananas"))[0]!.id).toBe("3");
    expect((await store.asRetriever({ k: 1 }).invoke("bananas"))[0]!.id).toBe("3");
    const mmr = await store.maxMarginalRelevanceSearch("apples", { k: 2, fetchK: 3 });
    expect(mmr).toHaveLength(2);
  });

  it("takes weights and fusions for a store and for a call", async () => {
    const store = await open({ searchType: "hybrid", fusion: "rrf", weights: { dense: 1, lexical: 1 } });
    await store.addDocuments([doc("1", "red"), doc("2", "green"), doc("3", "blue")]);
    for (const fusion of ["relativeScore", "rrf", "distribution"] as const) {
      const hits = await store.search("green", { fusion, k: 3 });
      expect(hits[0]!.document.id).toBe("2");
      expect(hits.every(({ score }) => score >= 0 && score <= 1)).toBe(true);
    }
    const own = await store.search("green", {
      fusion: ({ dense }) => new Map(dense.map(({ id, rank }) => [id, rank])),
    });
    expect(own[0]!.dense!.rank).toBe(3);
    const wrong = [{ fusion: "sum" as never }, { weights: { dense: 0, lexical: 0 } }, { searchType: "both" as never }];
    for (const options of wrong) expect((await errorOf(store.search("x", options))).name).toBe("ConfigurationError");
    expect((await errorOf(store.search([1], { searchType: "hybrid" }))).message).toMatch(/needs the text/);
  });
});

describe("hybrid, with a fusion of the library", () => {
  it("has the scores, contents and vectors that the same has as a function, which sees every row whole", async () => {
    const store = await open();
    const random = randomOf(9);
    await store.addDocuments(
      Array.from({ length: 160 }, (_, n) => {
        const text = Array.from({ length: 1 + random(12) }, () => WORDS[random(WORDS.length)]!).join(" ");
        return doc(`d${n}`, n % 20 === 0 ? "" : text, { n });
      }),
    );
    const weights = [DEFAULT_WEIGHTS, { dense: 1, lexical: 0 }, { dense: 0, lexical: 1 }, { dense: 1, lexical: 1 }];
    for (const fusion of ["relativeScore", "rrf", "distribution"] as const) {
      for (const [turn, weight] of weights.entries()) {
        for (const k of [1, 4, 15]) {
          const query = `${WORDS[(3 * turn + k) % WORDS.length]} ${WORDS[turn]} unheard`;
          const options = { searchType: "hybrid", k, weights: weight, includeEmbeddings: true } as const;
          const ours = await store.search(query, { ...options, fusion });
          const whole = await store.search(query, { ...options, fusion: (legs, w) => fuse(legs, fusion, w) });
          const scores = (hits: SearchHit[]): string[] => hits.map(({ score }) => score.toFixed(9));
          expect(scores(ours), `${fusion}, k ${k}, ${JSON.stringify(weight)}`).toEqual(scores(whole));
          expect(ours.every(({ document, embedding }) => embedding !== undefined && "n" in document.metadata)).toBe(
            true,
          );
        }
      }
    }
  });
});

describe("tenants", () => {
  it("have their own frequencies, and lookups by index on tenant and term", async () => {
    const store = await open({ tenancy: "rls" });
    for (const tenant of ["a", "b"]) {
      const documents = Array.from({ length: 300 }, (_, i) =>
        doc(String(i), `${WORDS[i % WORDS.length]} ${tenant} ${i}`),
      );
      await store.forTenant(tenant).addDocuments(documents);
    }
    const before = await store.forTenant("a").search("vector 17", { searchType: "lexical", k: 5 });
    await store.forTenant("b").addDocuments([doc("more", "vector vector vector")]);
    const after = await store.forTenant("a").search("vector 17", { searchType: "lexical", k: 5 });
    expect(after).toEqual(before);
    const postings = store.computedTableName.replace(/"$/, '_lexical"');
    const { rows } = (await store
      .forTenant("a")
      .pool.query(`explain select * from ${postings} where tenant_id = 'a' and collection = '' and key = 1`)) as {
      rows: Record<string, string>[];
    };
    const plan = rows.map((row) => row["QUERY PLAN"]).join(" ");
    expect(plan).toMatch(/Index Cond: .*tenant_id = 'a'.*key = 1/);
    const { rows: seen } = await store.forTenant("a").pool.query(`select distinct tenant_id from ${postings}`);
    expect(seen).toEqual([{ tenant_id: "a" }]);
    await store.tenants.delete("a");
    expect(await found(store.forTenant("b"), "vector")).not.toEqual([]);
    const client = await database.pool.connect();
    try {
      for (const part of ["", "_documents", "_segments"]) {
        const table = store.computedTableName.replace(/"$/, `_lexical${part}"`);
        const { rows: left } = await client.query({ text: `select distinct tenant_id from ${table}` });
        expect(left).toEqual([{ tenant_id: "b" }]);
      }
    } finally {
      client.release();
    }
  });
});

describe("turning it on", () => {
  it("is refused with the command for a table without it, and done online", async () => {
    const args = argsOf({ lexical: false });
    const plain = await PostgresVectorStore.initialize(embeddings, args);
    await plain.addDocuments([doc("1", "first words"), doc("2", "second words")]);
    expect((await errorOf(plain.search("words", { searchType: "lexical" }))).message).toMatch(
      /init --table .* --lexical/,
    );
    const asked = await errorOf(PostgresVectorStore.initialize(embeddings, { ...args, lexical: true }));
    expect(asked.message).toMatch(/init --table .* --lexical/);
    expect(asked.name).toBe("ConfigurationError");
  });

  it.each([
    ["off", "none"],
    ["rls", "none"],
    ["rls", "by-tenant"],
  ] as const)(
    "indexes the rows that are there, beside writers, with tenancy %s and partitions %s",
    async (tenancy, partitions) => {
      const args = argsOf({ lexical: false, tenancy, partitions });
      const view = (store: PostgresVectorStore, tenant: string): PostgresVectorStore =>
        tenancy === "rls" ? store.forTenant(tenant) : store;
      const plain = await PostgresVectorStore.initialize(embeddings, args);
      await view(plain, "a").addDocuments([doc("1", "first words"), doc("2", "second words")]);
      const options = resolveOptions({ ...args, lexical: true });
      const enable = (): Promise<unknown> =>
        ensureSchema(new Database(database.pool), options.layout, () => Promise.reject(new Error("no model")), {
          enableLexical: true,
        });
      await enable();
      await enable();
      const building = await PostgresVectorStore.initialize(embeddings, args);
      // Written between the index and its building, by a store that was open before.
      await view(plain, "a").addDocuments([doc("2", "changed words"), doc("3", "third words")]);
      const early = await errorOf(view(building, "a").search("words", { searchType: "lexical" }));
      expect(early.message).toMatch(/has not been finished/);
      expect(await building.lexical.build()).toBe(1);
      const built = view(await PostgresVectorStore.initialize(embeddings, { ...args, searchType: "hybrid" }), "a");
      expect((await found(built, "words")).sort()).toEqual(["1", "2", "3"]);
      expect(await found(built, "second")).toEqual([]);
      expect(await built.lexical.state()).toMatchObject({ chunks: 3, dead: 0 });
      if (tenancy === "rls") expect(await found(view(built, "b"), "words")).toEqual([]);
    },
  );

  it("is refused together with a content cipher", async () => {
    const contentCipher = { encrypt: (text: string) => text, decrypt: (text: string) => text };
    expect((await errorOf(open({ contentCipher }))).message).toMatch(/contentCipher/);
  });

  it("refuses a language that the server does not have", async () => {
    expect((await errorOf(open({ lexical: { language: "klingon" } }))).message).toMatch(/klingon/);
    for (const lexical of [{ language: "x'y" }, { k1: -1 }, { b: 2 }, { languageKey: "" }]) {
      expect((await errorOf(open({ lexical }))).name).toBe("ConfigurationError");
    }
  });
});
