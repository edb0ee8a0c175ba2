import { PostgresRecordManager } from "@langchain/community/indexes/postgres";
import type { Pool } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isEmbedded } from "../../src/db/pool.js";
import { type EmbeddedPostgres, openEmbeddedPostgres } from "../../src/embedded/index.js";
import { describeServer, openServerDatabase } from "../helpers/database.js";

let pool: EmbeddedPostgres;

beforeAll(async () => {
  pool = await openEmbeddedPostgres();
  await pool.query("create extension vector; create table account (id int primary key, balance int not null)");
});

afterAll(async () => {
  await pool.end();
});

const valueQueries: [name: string, text: string, values: unknown[]][] = [
  ["text", "select $1::text as value", ['it\'s \\ "quoted" Ünï']],
  ["integers", "select $1::int2 as two, $2::int4 as four, $3::int8 as eight", [1, -2, 9007199254740993n]],
  ["floats", "select $1::float8 as a, $2::float8 as b, $3::float4 as c", [0.1, NaN, Infinity]],
  ["numeric", "select $1::numeric as value", ["12345678901234567890.5"]],
  ["booleans", "select $1::bool as yes, $2::bool as no", [true, false]],
  ["nulls", "select $1::text as a, $2::int[] as b", [null, undefined]],
  ["jsonb", "select $1::jsonb as value", [{ a: [1, "b", null], c: { d: true } }]],
  ["bytea", "select $1::bytea as a, $2::bytea as b", [Buffer.from([0, 255, 92]), new Uint8Array([1, 2]).subarray(1)]],
  ["timestamps", "select $1::timestamptz as a, $1::timestamptz::date as b", [new Date("2024-02-29T23:30:00.123Z")]],
  ["local times", "select $1::timestamp as a, $2::date as b", [new Date(2024, 5, 1, 3, 4, 5), new Date(99, 0, 1)]],
  ["years before Christ", "select $1::timestamptz::text as value", [new Date("-000043-03-15T12:00:00Z")]],
  ["uuid", "select $1::uuid as value", ["3f0f3f8e-7c41-4b0e-9e52-1c1f6c1d2a3b"]],
  ["text arrays", "select $1::text[] as value", [["a,b", 'say "hi"', "back\\slash", "", "NULL", null]]],
  [
    "nested arrays",
    "select $1::int[] as value",
    [
      [
        [1, 2],
        [3, 4],
      ],
    ],
  ],
  ["jsonb arrays", "select $1::jsonb[] as value", [[{ a: 'q"' }, { b: "\\" }]]],
  ["bytea arrays", "select $1::bytea[] as value", [[Buffer.from("x"), Buffer.from([0, 1])]]],
  ["intervals", "select interval '1 day 2 hours' as value", []],
  ["vectors", "select $1::vector as value", ["[1,2.5]"]],
  ["no rows", "select 1 as value where false", []],
];

describeServer("values are what pg makes of them", () => {
  let server: Pool;
  let close: () => Promise<void>;

  beforeAll(async () => {
    const database = await openServerDatabase();
    // The embedded database runs in UTC.
    server = database.newPool({ options: "-c timezone=UTC" });
    close = () => database.close();
  });

  afterAll(() => close());

  test.each(valueQueries)("%s", async (_, text, values) => {
    const expected = await server.query<Record<string, unknown>>(text, values);
    const actual = await pool.query(text, values);
    expect(actual.rows).toStrictEqual(expected.rows.map((row) => ({ ...row })));
    expect(actual.rowCount).toBe(expected.rowCount);
    expect(actual.command).toBe(expected.command);
    expect(actual.fields.map((field) => field.name)).toEqual(expected.fields.map((field) => field.name));
  });
});

describe("values", () => {
  test("come back with the types that pg gives by default", async () => {
    const { rows } = await pool.query({
      text: `select $1::text as text, $2::int4 as int4, $2::int8 as int8, $3::float8 as float8, $4::bool as bool,
               $5::jsonb as jsonb, $6::bytea as bytea, $7::timestamptz as at, $8::text[] as texts, 1.50 as numeric`,
      values: ["x", 7, 0.5, true, { a: 1 }, Buffer.from([1, 2]), new Date(0), ["a", "b,c"]],
    });
    expect(rows).toStrictEqual([
      {
        text: "x",
        int4: 7,
        int8: "7",
        float8: 0.5,
        bool: true,
        jsonb: { a: 1 },
        bytea: Buffer.from([1, 2]),
        at: new Date(0),
        texts: ["a", "b,c"],
        numeric: "1.50",
      },
    ]);
  });

  test("a parameter with two encodings is sent as text", async () => {
    const parameter = { toPostgres: () => Buffer.from("not for this driver"), toText: () => "[1,2,3]" };
    const { rows } = await pool.query("select $1::vector as value, vector_dims($1::vector) as dimensions", [parameter]);
    expect(rows).toEqual([{ value: "[1,2,3]", dimensions: 3 }]);
  });

  test("several statements without parameters give the reply of the last", async () => {
    const reply = await pool.query("select 1 as a; select 2 as b");
    expect(reply.rows).toEqual([{ b: 2 }]);
    expect(await pool.query("")).toMatchObject({ rows: [], rowCount: null, command: null });
    expect(await pool.query("do $$ begin end $$")).toMatchObject({ rows: [], rowCount: null });
  });
});

describe("errors", () => {
  test("keep what Postgres says, and drop the values that were sent", async () => {
    await pool.query("insert into account values (1000, 1)");
    const error: unknown = await pool.query("insert into account values ($1, $2)", [1000, 77]).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ code: "23505", table: "account", constraint: "account_pkey" });
    expect(error).toHaveProperty("detail", "Key (id)=(1000) already exists.");
    expect(error).not.toHaveProperty("params");
    expect(error).not.toHaveProperty("query");
    await pool.query("delete from account where id = 1000");
  });

  test("a failing statement does not poison the next session", async () => {
    const client = await pool.connect();
    await client.query("begin");
    await expect(client.query("select 1/0")).rejects.toMatchObject({ code: "22012" });
    await expect(client.query("select 1")).rejects.toMatchObject({ code: "25P02" });
    client.release(new Error("given up"));
    expect((await pool.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  });

  test("a failing statement among several leaves no transaction open", async () => {
    await expect(pool.query("begin; insert into account values (1001, 1); select 1/0")).rejects.toThrow(/division/);
    expect((await pool.query("select count(*)::int as n from account where id = 1001")).rows).toEqual([{ n: 0 }]);
  });
});

describe("sessions", () => {
  test("release rolls an open transaction back and keeps session settings", async () => {
    const client = await pool.connect();
    await client.query("begin; insert into account values (2000, 1)");
    client.release();
    const next = await pool.connect();
    expect((await next.query("select count(*)::int as n from account where id = 2000")).rows).toEqual([{ n: 0 }]);
    next.release();
  });

  test("destroying a session forgets its role, settings, temporary tables and advisory locks", async () => {
    await pool.query("create role visitor");
    const client = await pool.connect();
    await client.query("set role visitor");
    await client.query("set work_mem = '7MB'");
    await client.query("create temporary table scratch (id int)");
    await client.query("select pg_advisory_lock(7)");
    client.release(true);
    const { rows } = await pool.query(
      `select current_user as role, current_setting('work_mem') as memory, to_regclass('scratch') as scratch,
         (select count(*)::int from pg_locks where locktype = 'advisory') as locks`,
    );
    expect(rows).toEqual([{ role: "postgres", memory: "4MB", scratch: null, locks: 0 }]);
  });

  test("statements sent without waiting finish before the session ends", async () => {
    const client = await pool.connect();
    const sent = [client.query("select 1 as n"), client.query("select 2 as n"), client.query("begin")];
    client.release();
    const replies = await Promise.all(sent);
    expect(replies.map((reply) => reply.rows[0]?.["n"])).toEqual([1, 2, undefined]);
    expect((await pool.query("select now() = statement_timestamp() as outside")).rows).toEqual([{ outside: true }]);
  });

  test("a released session refuses statements and a second release", async () => {
    const client = await pool.connect();
    client.release();
    await expect(client.query("select 1")).rejects.toMatchObject({ code: "CONFIGURATION" });
    expect(() => client.release()).toThrow(/already released/);
  });

  test("are served in the order of asking, one at a time", async () => {
    const served: number[] = [];
    let inside = 0;
    await Promise.all(
      Array.from({ length: 10 }, async (_, index) => {
        const client = await pool.connect();
        inside += 1;
        expect(inside).toBe(1);
        served.push(index);
        await client.query("select 1");
        inside -= 1;
        client.release();
      }),
    );
    expect(served).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("20 concurrent transactions, a third of them failing, add up", async () => {
    await pool.query("insert into account values (1, 0)");
    const work = Array.from({ length: 20 }, async (_, index) => {
      const client = await pool.connect();
      try {
        await client.query("begin");
        const { rows } = await client.query("select balance from account where id = 1");
        await new Promise((resolve) => setTimeout(resolve, index % 3));
        await client.query("update account set balance = $1 where id = 1", [Number(rows[0]?.["balance"]) + 1]);
        if (index % 3 === 0) await client.query("select 1/0");
        await client.query("commit");
      } finally {
        client.release();
      }
    });
    const outcomes = await Promise.allSettled(work);
    expect(outcomes.filter((outcome) => outcome.status === "rejected")).toHaveLength(7);
    expect((await pool.query("select balance from account where id = 1")).rows).toEqual([{ balance: 13 }]);
  });
});

describe("the pool", () => {
  test("is recognised as embedded", () => {
    expect(isEmbedded(pool)).toBe(true);
    expect(pool.dataDir).toBeUndefined();
  });

  test("serves the record manager of LangChain", async () => {
    const records = new PostgresRecordManager("books", { pool: pool as unknown as Pool, tableName: "records" });
    await records.createSchema();
    await records.update(["a", "b", "c"], { groupIds: ["one", "one", "two"] });
    expect(await records.exists(["a", "x", "c"])).toEqual([true, false, true]);
    expect((await records.listKeys({ groupIds: ["one"] })).toSorted()).toEqual(["a", "b"]);
    await records.deleteKeys(["a", "b"]);
    expect(await records.listKeys()).toEqual(["c"]);
  });

  test("ends once, after the sessions already asked for, and then refuses new ones", async () => {
    const short = await openEmbeddedPostgres();
    const running = short.query("select 1 as n");
    const ended = short.end();
    expect(short.end()).toBe(ended);
    expect((await running).rows).toEqual([{ n: 1 }]);
    await ended;
    await expect(short.query("select 1")).rejects.toMatchObject({ code: "CONFIGURATION" });
  });

  test("has vector search, row-level security and a role switch", async () => {
    await pool.query(`
      create table chunk (tenant text, embedding vector(2));
      insert into chunk values ('a', '[1,0]'), ('b', '[0,1]');
      create index on chunk using hnsw (embedding vector_cosine_ops);
      alter table chunk enable row level security;
      alter table chunk force row level security;
      create policy tenant_scope on chunk using (tenant = nullif(current_setting('app.current_tenant', true), ''));
      create role app_role; grant select on chunk to app_role;`);
    const client = await pool.connect();
    await client.query("begin");
    await client.query("set local role app_role");
    await client.query("select set_config('app.current_tenant', $1, true)", ["b"]);
    const { rows } = await client.query("select tenant from chunk order by embedding <=> $1 limit 5", ["[1,0]"]);
    await client.query("commit");
    client.release();
    expect(rows).toEqual([{ tenant: "b" }]);
  });
});
