import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestDatabase, type TestDatabase, testSchema } from "../helpers/database.js";

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
});

afterAll(() => database.close());

test("pgvector lives in the schema that this run asks for", async () => {
  const { extensionSchemaName } = testSchema();
  const client = await database.pool.connect();
  try {
    if (extensionSchemaName === undefined) await client.query({ text: "create extension if not exists vector" });
    const { rows } = await client.query({
      text: "select extnamespace::regnamespace::text as schema from pg_extension where extname = 'vector'",
    });
    expect(rows).toEqual([{ schema: extensionSchemaName ?? "public" }]);
  } finally {
    client.release();
  }
});
