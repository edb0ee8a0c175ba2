/**
 * Backs up and restores a store of many tenants in full size, and recovers one to a point in time.
 *
 *   npm run test:backup -- [--rows n] [--tenants n] [--searches n]
 *
 * Prints a table, and one JSON object as the last line. Exit code 1 when a bar is missed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../src/index.js";
import { createBackupRole } from "../src/ops/backup/backup-role.js";
import { createBackup } from "../src/ops/backup/create-backup.js";
import type { DatabaseManifest } from "../src/ops/backup/manifest.js";
import { restoreBackup } from "../src/ops/backup/restore-backup.js";
import { Database } from "../src/db/database.js";
import { clientTools } from "../test/helpers/client-tools.js";
import { cleanServer, prepareServer } from "../test/helpers/fresh-database.js";
import { ModelEmbeddings } from "../test/helpers/model-embeddings.js";
import { openDatabaseOn, type ServerTestDatabase } from "../test/helpers/open-database.js";
import { startServer } from "../test/helpers/server.js";
import { seededRandom } from "../test/helpers/vectors.js";
import { recoverToPointInTime } from "./backup/point-in-time.js";

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "50000" },
    tenants: { type: "string", default: "200" },
    searches: { type: "string", default: "500" },
  },
});
const [rows, tenants, searches] = [values.rows, values.tenants, values.searches].map(Number) as [
  number,
  number,
  number,
];
const MODES = ["similarity", "lexical", "hybrid"] as const;
/** Two local models that agree on nothing. */
const [old, next] = [new ModelEmbeddings("old", 64), new ModelEmbeddings("next", 96)];
const TABLE = "articles";
const TOPICS = Array.from({ length: 300 }, (_, i) => `topic${i}`);

const found = clientTools();
const server = await startServer();
if (!server || found === undefined)
  throw new Error("There is no PostgreSQL server with its client programs; see test/helpers/server.ts.");
const pgBin = found;
const folder = mkdtempSync(join(tmpdir(), "langchain-pgvector-backup-"));
const prepared = { ...(await prepareServer(server.url)), source: server.source };
const open: ServerTestDatabase[] = [];
const bars: { name: string; want: string; got: string; ok: boolean }[] = [];
const figures: Record<string, unknown> = {};

try {
  const source = await fresh();
  await timed("load", () => fill(source));
  const expected = await timed("searches before", () => answers(source.appUrl));
  const ids = await idsOf(source);
  bar("chunks in the source", String(rows), String(ids.length), ids.length === rows);

  const whole = join(folder, "whole");
  const custom = await timed("backup, custom", () =>
    createBackup({ connectionString: source.url, folder: whole, pgBin }),
  );
  figures["custom bytes"] = sizeOf(custom);
  await check("superuser, custom format", whole, expected, ids);

  const url = await makeBackupRole(source);
  const parallel = join(folder, "parallel");
  const options = { format: "directory", jobs: 2, compress: "zstd:3" } as const;
  const byRole = await timed("backup by a role without BYPASSRLS, directory", () =>
    createBackup({ connectionString: url, folder: parallel, pgBin, ...options }),
  );
  figures["directory bytes"] = sizeOf(byRole);
  await check("backup role, directory format", parallel, expected, ids);

  const small = await timed("backup without embeddings", () =>
    createBackup({ connectionString: source.url, folder: join(folder, "small"), pgBin, withoutEmbeddings: true }),
  );
  figures["without embeddings bytes"] = sizeOf(small);
} finally {
  for (const database of open) await database.close();
  await cleanServer(prepared);
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}

const pitr = await recoverToPointInTime();
if (pitr === undefined) process.stdout.write("point in time: skipped, there are no native programs\n");
else {
  figures["point in time"] = pitr;
  bar(
    "rows at the point in time",
    String(pitr.before),
    String(pitr.recovered),
    pitr.before === pitr.recovered && pitr.afterAccident === 0,
  );
  bar(
    "same searches at the point in time",
    String(pitr.searches),
    String(pitr.sameSearches),
    pitr.sameSearches === pitr.searches,
  );
}
const machine = { cores: cpus().length, node: process.version };
process.stdout.write(`${JSON.stringify({ bench: "backup", machine, figures, bars })}\n`);
process.exitCode = bars.every(({ ok }) => ok) ? 0 : 1;

async function fresh(): Promise<ServerTestDatabase> {
  const database = await openDatabaseOn(prepared);
  open.push(database);
  return database;
}

function config(connectionString: string, tenantId: string): PostgresVectorStoreArgs {
  return {
    connectionString,
    tableName: TABLE,
    tenancy: "rls",
    tenantId,
    lexical: true,
    promotedKeys: { year: "number" },
    embedders: { [next.fingerprint]: next },
  };
}

function nameOf(tenant: number): string {
  return `tenant-${String(tenant).padStart(3, "0")}`;
}

async function fill(database: ServerTestDatabase): Promise<void> {
  const random = seededRandom(1);
  const word = (): string => TOPICS[Math.floor(random() ** 2 * TOPICS.length)]!;
  const store = await PostgresVectorStore.initialize(old, config(database.ownerUrl, nameOf(0)));
  let done = 0;
  for (let tenant = 0; tenant < tenants; tenant += 1) {
    const share = Math.floor(((tenant + 1) * rows) / tenants) - done;
    const documents = Array.from({ length: share }, (_, i) => ({
      id: `${tenant}-${i}`,
      pageContent: Array.from({ length: 40 }, word).join(" "),
      metadata: { year: 1990 + (i % 30), kind: word() },
    }));
    await store.forTenant(nameOf(tenant)).addDocuments(documents);
    done += share;
  }
  await timed("index of the first version", () => store.createHnswIndex());
  await store.models.add({ embeddings: next, storageType: "halfvec" });
  const filled = await timed("backfill and index of the second version", () =>
    store.models.backfill({ maxSlowdown: false }),
  );
  bar("vectors of the second version", String(rows), String(filled.filled), filled.filled === rows);
  await store.models.cutover();
  // Searches then go by both versions: of every tenth tenant by the first, of all others by the second.
  for (let tenant = 0; tenant < tenants; tenant += 10) await store.models.override(nameOf(tenant), 1);
  await store.end();
  await database.newPool().query(`vacuum analyze ${TABLE}`);
}

/** What the application's login finds, one entry for each search, by mode. */
async function answers(url: string): Promise<Record<string, string[]>> {
  const random = seededRandom(2);
  const base = await PostgresVectorStore.fromExistingIndex(old, config(url, nameOf(0)));
  const all: Record<string, string[]> = {};
  for (const searchType of MODES) {
    all[searchType] = [];
    for (let i = 0; i < searches; i += 1) {
      const store = base.forTenant(nameOf(Math.floor(random() * tenants)));
      const query = Array.from({ length: 4 }, () => TOPICS[Math.floor(random() * TOPICS.length)]!).join(" ");
      const hits = await store.search(query, { k: 10, searchType });
      all[searchType].push(JSON.stringify(hits.map(({ document, score }) => [document.id, document.metadata, score])));
    }
  }
  await base.end();
  return all;
}

async function idsOf(database: ServerTestDatabase): Promise<string[]> {
  const reply = await database
    .newPool()
    .query<{ key: string }>(
      `select tenant_id || '/' || id || '/' || (embedding is null) || (embedding_v2 is null) as key from ${TABLE} order by 1`,
    );
  return reply.rows.map(({ key }) => key);
}

async function check(
  name: string,
  path: string,
  expected: Record<string, string[]>,
  ids: readonly string[],
): Promise<void> {
  const target = await fresh();
  await timed(`restore, ${name}`, () => restoreBackup({ connectionString: target.url, folder: path, pgBin, jobs: 2 }));
  const restored = new Set(await idsOf(target));
  const missing = ids.filter((id) => !restored.has(id)).length;
  bar(`missing rows, ${name}`, "0", String(missing), missing === 0 && restored.size === ids.length);
  const after = await answers(target.appUrl);
  for (const mode of MODES) {
    const same = after[mode]!.filter((one, i) => one === expected[mode]![i]).length;
    bar(`same ${mode} searches, ${name}`, String(searches), String(same), same === searches);
  }
  const app = target.newPool({ connectionString: target.appUrl });
  const unscoped = await app.query<{ rows: number }>(`select count(*)::int as rows from ${TABLE}`);
  const client = await app.connect();
  await client.query(`begin; set local app.current_tenant = '${nameOf(1)}'`);
  const scoped = await client.query<{ tenants: number; rows: number }>(
    `select count(distinct tenant_id)::int as tenants, count(*)::int as rows from ${TABLE}`,
  );
  const crossed = await client.query(`update ${TABLE} set tenant_id = '${nameOf(2)}'`).then(
    () => "done",
    (error: { code?: string }) => error.code ?? "",
  );
  await client.query("rollback");
  client.release();
  const own = ids.filter((id) => id.startsWith(`${nameOf(1)}/`)).length;
  const seen = [unscoped.rows[0]!.rows, scoped.rows[0]!.tenants, scoped.rows[0]!.rows, crossed].join(", ");
  bar(`policies in force, ${name}`, `0, 1, ${own}, 42501`, seen, seen === `0, 1, ${own}, 42501`);
  await open.splice(open.indexOf(target), 1)[0]!.close();
}

async function makeBackupRole(source: ServerTestDatabase): Promise<string> {
  const url = new URL(source.url);
  const role = `${prepared.prefix}_backup`;
  await createBackupRole(new Database(source.newPool()), { role });
  await source.newPool().query(`alter role ${role} password '${prepared.password}'`);
  [url.username, url.password] = [role, prepared.password];
  return url.href;
}

function sizeOf(manifest: DatabaseManifest): number {
  return manifest.files.reduce((sum, { bytes }) => sum + bytes, 0);
}

async function timed<T>(name: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now();
  const result = await work();
  const seconds = (performance.now() - began) / 1_000;
  figures[`${name} seconds`] = Number(seconds.toFixed(1));
  process.stdout.write(`${name}: ${seconds.toFixed(1)} s\n`);
  return result;
}

function bar(name: string, want: string, got: string, ok: boolean): void {
  bars.push({ name, want, got, ok });
  process.stdout.write(`${ok ? "ok    " : "MISSED"} ${name}: ${got} (want ${want})\n`);
}
