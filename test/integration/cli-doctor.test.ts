import { afterAll, beforeAll, expect, test } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import type { Diagnosis } from "../../src/ops/doctor/examine.js";
import type { LeakReport } from "../../src/ops/leak-suite/run.js";
import { CliFolder, type CliRun } from "../helpers/cli.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

describeServer("the verb doctor", () => {
  let database: ServerTestDatabase;
  let folder: CliFolder;

  beforeAll(async () => {
    database = await openServerDatabase();
    folder = new CliFolder();
    folder.secrets.push(new URL(database.ownerUrl).password);
    const pool = database.newPool({ connectionString: database.ownerUrl });
    const embeddings = new HashedEmbeddings();
    await PostgresVectorStore.initialize(embeddings, { pool, tableName: "secured", tenancy: "rls" });
    await PostgresVectorStore.initialize(embeddings, { pool, tableName: "plain", appRole: "langchain_pgvector_app" });
  });
  afterAll(async () => {
    folder.remove();
    await database.close();
  });

  const run = (url: string, ...args: string[]): Promise<CliRun> =>
    folder.run(["doctor", ...args], { env: { DATABASE_URL: url } });

  /** What a run says about the store; the test server itself is set up for speed and not for data. */
  async function storeFindings(url: string, table: string): Promise<string[]> {
    const { code, out } = await run(url, "--table", table, "--json");
    const { findings } = JSON.parse(out) as Diagnosis;
    expect(code).toBe(findings.some(({ severity }) => severity === "error") ? 1 : 0);
    return findings.filter(({ page }) => !/(server|settings|activity)\.md/.test(page)).map(({ id }) => id);
  }

  test("is content with a store as the application sees it, and says what that does not show", async () => {
    const { out, err } = await run(database.appUrl, "--table", "secured");
    expect(err[0]).toMatch(/^database: postgres:.* tenant: all · embedder: none needed$/);
    expect(out).toMatch(/^ok {7}PostgreSQL \d+\.\d+\nok {7}pgvector \d/);
    expect(out).toContain("is bound by row-level security");
    expect(out).toContain("ok       tenancy is on");
    expect(out).toMatch(/^unseen {3}transactions and statements of other roles.*\n {9}grant pg_monitor to /m);
    expect(await storeFindings(database.appUrl, "secured")).toEqual([]);
    expect(await storeFindings(database.ownerUrl, "secured")).toEqual([]);
  });

  test("says that a superuser's calls switch to the app role, which is no error", async () => {
    const { out } = await run(database.url, "--table", "secured");
    expect(out).toMatch(
      /^warning {2}The connection's role .* switch to "langchain_pgvector_app" for each transaction/m,
    );
    expect(await storeFindings(database.url, "secured")).toEqual(["connection-bypasses"]);
  });

  test("does not lint without tenancy", async () => {
    const { out } = await run(database.appUrl, "--table", "plain");
    expect(out).toContain("tenancy is off");
    expect(await storeFindings(database.appUrl, "plain")).toEqual([]);
    expect((await run(database.appUrl, "--table", "plain", "--tenancy")).code).toBe(1);
  });

  test("plans what it fixes, fixes it, and counts warnings when it is told to", async () => {
    const owner = database.newPool({ connectionString: database.ownerUrl });
    await owner.query("alter table secured set (autovacuum_enabled = off)");
    const strict = await run(database.ownerUrl, "--table", "secured", "--strict");
    expect(strict.code).toBe(1);
    expect(strict.err.at(-1)).toMatch(/1 warning\.$/);
    const planned = await run(database.ownerUrl, "--table", "secured", "--fix", "--plan");
    expect(planned).toMatchObject({ code: 0 });
    expect(planned.out).toMatch(
      /^planned {2}autovacuum-disabled: public\.secured\n {9}alter table public\.secured reset/,
    );
    expect(await storeFindings(database.ownerUrl, "secured")).toEqual(["autovacuum-disabled"]);
    const refused = await run(database.appUrl, "--table", "secured", "--fix");
    expect(refused.code).toBe(1);
    expect(refused.out).toMatch(/^failed {3}autovacuum-disabled: public\.secured: .*owner/);
    const fixed = await run(database.ownerUrl, "--table", "secured", "--fix");
    expect(fixed).toMatchObject({ code: 0 });
    expect(fixed.out).toMatch(/^fixed {4}autovacuum-disabled/);
    expect(fixed.err).toContain("fixing autovacuum-disabled: public.secured");
    expect(await storeFindings(database.ownerUrl, "secured")).toEqual([]);
    expect((await run(database.ownerUrl, "--table", "secured", "--fix")).out.trim()).toBe("There is nothing to fix.");
    expect((await run(database.ownerUrl, "--plan")).code).toBe(2);
  });

  test("ends with 1 for errors, and prints the cure", async () => {
    const owner = database.newPool({ connectionString: database.ownerUrl });
    await owner.query("create policy anyone on secured using (true)");
    try {
      const { code, out, err } = await run(database.appUrl, "--tenancy", "--table", "secured");
      expect(code).toBe(1);
      expect(out).toContain('drop policy "anyone" on public.secured;');
      expect(err.at(-1)).toBe("error: The doctor found 1 error.");
      const json = await run(database.appUrl, "--table", "secured", "--json");
      expect(json.code).toBe(1);
      expect((JSON.parse(json.out) as Diagnosis).findings.map(({ id }) => id)).toContain("extra-policy");
    } finally {
      await owner.query("drop policy anyone on secured");
    }
  });

  test("reports a table that is not there", async () => {
    const { code, out } = await run(database.appUrl, "--table", "lost");
    expect(code).toBe(1);
    expect(out).toContain('error    There is no table "lost"');
    expect(out).toContain("npx langchain-pgvector init");
  });

  test("runs the leak test as the application, with tables that the owner makes", async () => {
    const args = [
      "--leak-test",
      "--operations",
      "300",
      "--tenants",
      "12",
      "--seed",
      "5",
      "--admin-url",
      database.ownerUrl,
    ];
    const { code, out, err } = await run(database.appUrl, ...args);
    expect(code).toBe(0);
    expect(out).toMatch(/^300 operations of \d+ kinds by 12 tenants \([\d,]+ calls\), seed 5, /);
    expect(out).toContain("leaked rows: 0\ncross-tenant writes: 0\nbytes of other tenants in error texts: 0\n");
    expect(err.some((line) => line.startsWith("300 operations, seed 5"))).toBe(true);
    const json = await run(database.appUrl, ...args, "--json");
    expect(JSON.parse(json.out) as LeakReport).toMatchObject({ leakedRows: 0, seed: 5, operations: 300 });
  });

  test("refuses flags that do not go together, and a run without a database", async () => {
    expect((await run(database.appUrl, "--operations", "5")).code).toBe(2);
    expect((await folder.run(["doctor"])).code).toBe(2);
    expect((await run(database.appUrl, "--leak-test", "--tenants", "1")).code).toBe(2);
  });
});
