import { afterAll, beforeAll, expect, test } from "vitest";
import { ChromaClient } from "../../src/chroma/client.js";
import { chromaDistance } from "../../src/chroma/collection.js";
import { Chroma } from "../../src/chroma/index.js";
import type { ChromaServer } from "../../src/chroma/run-server.js";
import { compareWithChroma } from "../helpers/chroma-comparison.js";
import { startChromaServer } from "../helpers/chroma-server.js";
import { describeChroma } from "../helpers/describe-chroma.js";
import { openTestDatabase, type TestDatabase } from "../helpers/database.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

await describeChroma("what an import gives, beside Chroma itself", () => {
  let database: TestDatabase;
  let chroma: ChromaServer;

  beforeAll(async () => {
    database = await openTestDatabase();
    chroma = await startChromaServer();
  });
  afterAll(async () => {
    await chroma.stop();
    await database.close();
  });

  // The full size, 20,000 records of 384 dimensions and 1,000 searches, is `npm run test:chroma`.
  test("1,200 records: equal in every bit, found by the same filters and searches", async () => {
    const result = await compareWithChroma(chroma.url, database.pool, {
      records: { l2: 500, cosine: 400, ip: 300 },
      dimensions: 32,
      queries: 300,
      filters: 100,
    });
    expect([result.records, result.differentRecords]).toEqual([1_200, 0]);
    expect(result.differentSets).toEqual([]);
    expect([result.queries, result.differentResults]).toEqual([300, []]);
    expect(result.distanceError).toBeLessThan(1e-5);
  });

  test("a filter that Chroma refuses is refused, and one that it takes is taken", async () => {
    const client = new ChromaClient({ url: chroma.url, retries: 0 });
    const { id } = await client.getCollection("sample-l2");
    const store = new Chroma(new HashedEmbeddings(32), {
      pool: database.pool,
      tableName: "compared",
      collectionName: "sample-l2",
    });
    const both = async (filter: { where?: unknown; whereDocument?: unknown }): Promise<string> => {
      const { where, whereDocument } = filter;
      const theirs = await client.get(id, { include: [], where, where_document: whereDocument } as never).then(
        () => "taken",
        () => "refused",
      );
      const ours = await store.get({ include: [], where, whereDocument } as never).then(
        () => "taken",
        () => "refused",
      );
      return `${theirs} by Chroma, ${ours} by ours`;
    };
    const refused = [
      {},
      {
        a: 1,
        b: 2,
      },
      {
        a: {
          $gt: 1,
          $lt: 2,
        },
      },
      { a: {} },
      { a: null },
      { a: { $foo: 1 } },
      { a: [1] },
      { a: { $gt: "b" } },
      { a: { $lt: true } },
      { a: { $in: [] } },
      { a: { $nin: [] } },
      { a: { $in: [1, "b"] } },
      { a: { $in: 1 } },
      { a: { $eq: [1] } },
      { a: { $exists: true } },
      { a: { $like: "b" } },
      { $not: { a: 1 } },
      { $and: {} },
      { $or: 1 },
      { $and: [{ a: 1 }, { b: null }] },
    ];
    for (const where of refused)
      expect([where, await both({ where })]).toEqual([where, "refused by Chroma, refused by ours"]);
    const refusedDocuments = [
      {},
      { $foo: "a" },
      { $contains: 5 },
      {
        $contains: "a",
        $not_contains: "b",
      },
      { $regex: "(" },
      { $regex: "(?=a)" },
      { $regex: "(a)\\1" },
      { $regex: "[z-a]" },
      { $regex: "*" },
      { $and: [{ $contains: "a" }, { $regex: "[" }] },
    ];
    for (const whereDocument of refusedDocuments) {
      const outcome = await both({ whereDocument });
      expect([whereDocument, outcome]).toEqual([whereDocument, "refused by Chroma, refused by ours"]);
    }
    for (const where of [{ a: 1 }, { a: { $in: ["b"] } }, { $or: [{ a: true }, { b: { $lte: 1.5 } }] }]) {
      expect(await both({ where })).toBe("taken by Chroma, taken by ours");
    }
  });

  test("the distance formulas", () => {
    expect([chromaDistance(3, "l2"), chromaDistance(0.25, "cosine"), chromaDistance(-0.75, "ip")]).toEqual([
      9, 0.25, 0.25,
    ]);
  });
});
