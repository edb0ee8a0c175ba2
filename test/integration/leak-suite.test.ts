import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Pool } from "../../src/db/pool.js";
import { LEAK_OPERATIONS } from "../../src/ops/leak-suite/operations.js";
import { runLeakSuite, type LeakSuiteConfig, type LeakSuiteHooks } from "../../src/ops/leak-suite/run.js";
import { openTestDatabase, type TestDatabase } from "../helpers/database.js";

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
});

afterAll(() => database.close());

const NOTHING = { leakedRows: 0, crossTenantWrites: 0, leakedErrorBytes: 0, unexpected: 0, findings: [] };

/** As an application that may only use its tables, where there is a server; else the one role that there is. */
function application(): LeakSuiteConfig {
  return database.kind === "server"
    ? { connectionString: database.appUrl, adminConnectionString: database.ownerUrl }
    : { pool: database.pool };
}

const onServer = (many: number, few: number): number => (database.kind === "server" ? many : few);

async function leftovers(): Promise<unknown[]> {
  const { rows } = await query(
    database.pool,
    `select relname from pg_class where relname like 'langchain_leak%'
     union all select store from langchain_pgvector_tenants where store like 'langchain_leak%'
     union all select store from langchain_pgvector_models where store like 'langchain_leak%'`,
  );
  return rows;
}

describe("the leak suite", () => {
  it("finds nothing in a store as it is made, and leaves nothing behind", async () => {
    const seen: number[] = [];
    const report = await runLeakSuite({
      ...application(),
      operations: onServer(2_000, 300),
      tenants: onServer(60, 20),
      seed: 7,
      onProgress: ({ operations }) => seen.push(operations),
    });
    expect(report).toMatchObject({ ...NOTHING, seed: 7, operations: onServer(2_000, 300) });
    expect(seen.at(-1)).toBe(report.operations);
    expect(Object.keys(report.byKind).length).toBeGreaterThan(onServer(LEAK_OPERATIONS.length * 0.9, 80));
    expect(await leftovers()).toEqual([]);
  }, 300_000);

  it("finds nothing when a superuser's connection switches to the app role", async () => {
    const report = await runLeakSuite({ pool: database.pool, operations: 200, tenants: 12 });
    expect(report).toMatchObject(NOTHING);
  }, 180_000);

  it("makes the same choices from the same seed", async () => {
    // Calls, not refusals: whether a time-out comes before the answer is the server's choice.
    const run = async (): Promise<unknown> => {
      const { byKind } = await runLeakSuite({ pool: database.pool, operations: 40, tenants: 4, seed: 11 });
      return Object.fromEntries(Object.entries(byKind).map(([kind, { calls }]) => [kind, calls]));
    };
    expect(await run()).toEqual(await run());
  }, 180_000);

  it("has a name of its own for each operation", () => {
    expect(new Set(LEAK_OPERATIONS.map(({ name }) => name)).size).toBe(LEAK_OPERATIONS.length);
  });

  it("drops its tables when it is aborted", async () => {
    const controller = new AbortController();
    const run = runLeakSuite({
      ...application(),
      operations: 10_000,
      tenants: 5,
      signal: controller.signal,
      onProgress: () => controller.abort(new Error("enough")),
    });
    await expect(run).rejects.toThrow("enough");
    expect(await leftovers()).toEqual([]);
  }, 180_000);
});

describe("the leak suite on a database whose isolation is broken", () => {
  const broken = async (sql: string, config: Partial<LeakSuiteConfig> = {}) => {
    const hooks: LeakSuiteHooks = {
      onReady: async ({ world }) => {
        if (sql !== "") await query(database.pool, sql.replaceAll("{t}", world.tables.chunks));
      },
    };
    const sized = { ...application(), operations: onServer(600, 300), tenants: 12, seed: 3, ...config };
    return runLeakSuite(sized, hooks);
  };

  it("sees an additional permissive policy", async () => {
    const report = await broken("create policy open on {t} using (true) with check (true)");
    expect(report.leakedRows).toBeGreaterThan(0);
    expect(report.crossTenantWrites).toBeGreaterThan(0);
    expect(report.leakedErrorBytes).toBeGreaterThan(0);
    expect(report.findings[0]?.operation).toBeTypeOf("string");
  }, 180_000);

  it("sees that row-level security is off", async () => {
    const report = await broken("alter table {t} disable row level security");
    expect(report.leakedRows).toBeGreaterThan(0);
    expect(report.crossTenantWrites).toBeGreaterThan(0);
    expect(report.leakedErrorBytes).toBeGreaterThan(0);
  }, 180_000);

  it("sees a policy that reads only", async () => {
    const report = await broken("create policy open on {t} for select using (true)");
    expect(report.leakedRows).toBeGreaterThan(0);
  }, 180_000);

  it("sees that everything is hidden, since calls then fail or find nothing", async () => {
    const report = await broken("drop policy langchain_pgvector_tenant on {t}");
    expect(report.crossTenantWrites + report.unexpected).toBeGreaterThan(0);
    expect(report.leakedRows).toBe(0);
  }, 180_000);

  it("finds nothing when the store forgets the tenant: the database still knows it", async () => {
    const report = await broken("", {
      pool: forgetful(database.pool),
      ...administrator(),
      operations: onServer(400, 200),
    });
    expect(report).toMatchObject({ leakedRows: 0, crossTenantWrites: 0, leakedErrorBytes: 0 });
  }, 180_000);

  it("sees the public methods leak when both the store and the database forget the tenant", async () => {
    const report = await broken("alter table {t} disable row level security", {
      pool: forgetful(database.pool),
      ...administrator(),
    });
    const leaking = report.findings.map(({ operation }) => operation);
    expect(leaking.some((name) => !name.startsWith("raw") && !name.startsWith("session"))).toBe(true);
  }, 180_000);
});

/** A superuser who administers tenants is bound by nothing but the predicate, so it must not forget it here. */
const administrator = (): LeakSuiteConfig => (database.kind === "server" ? {} : { adminPool: database.pool });

/** A store variant without its own predicate on the tenant: every statement that names it matches all rows. */
function forgetful(pool: Pool): Pool {
  return {
    ...("embedded" in pool && { embedded: true }),
    connect: async () => {
      const client = await pool.connect();
      return {
        query: (request) =>
          client.query({
            ...request,
            text: request.text.replace(/tenant_id = (\$\d+)::text/g, "$1::text is not null"),
          }),
        release: (destroy) => client.release(destroy),
      };
    },
    end: () => Promise.resolve(),
  };
}

async function query(pool: Pool, text: string) {
  const client = await pool.connect();
  try {
    return await client.query({ text });
  } finally {
    client.release();
  }
}
