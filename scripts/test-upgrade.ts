/**
 * Upgrades the cluster of a store to another major version with `pg_upgrade`, and pgvector with it, and looks whether the
 * store is the same before and after.
 *
 *   npm run test:upgrade -- --from <folder of the old programs> --to <folder of the new ones> [--rows n]
 *
 * Prints what it sees, and one JSON object as the last line. Exit code 1 when a bar is missed.
 */
import { rmSync } from "node:fs";
import { parseArgs } from "node:util";
import pg from "pg";
import { diagnose, PostgresVectorStore, type PostgresVectorStoreArgs } from "../src/index.js";
import { ModelEmbeddings } from "../test/helpers/model-embeddings.js";
import { seededRandom } from "../test/helpers/vectors.js";
import { Cluster, folderFor, mustRun } from "./upgrade/cluster.js";

const { values } = parseArgs({
  options: { from: { type: "string" }, to: { type: "string" }, rows: { type: "string", default: "6000" } },
});
const { from, to } = values;
if (from === undefined || to === undefined) {
  process.stderr.write("npm run test:upgrade -- --from <folder of the old programs> --to <folder of the new ones>\n");
  process.exit(2);
}
const rows = Number(values.rows);
const SEARCHES = 50;
const TOLERANCE = 1e-6;
const MODES = ["similarity", "lexical", "hybrid"] as const;
const TENANTS = ["large", "small"] as const;
const [old, next] = [new ModelEmbeddings("old", 64), new ModelEmbeddings("next", 96)];
const bars: { name: string; want: string; got: string; ok: boolean }[] = [];
const figures: Record<string, unknown> = {};

const folder = folderFor("upgrade");
const [before, after] = [
  new Cluster(from, folderFor("old"), []),
  new Cluster(to, folderFor("new"), ["--no-data-checksums"]),
];
try {
  const url = await before.start();
  await fill(url);
  const expected = await stateOf(url);
  await before.stop();

  const args = ["-b", from, "-B", to, "-d", before.data, "-D", after.data, "-U", "postgres", "--socketdir", folder];
  say("pg_upgrade --check", mustRun(to, "pg_upgrade", [...args, "--check"], folder));
  const began = performance.now();
  say("pg_upgrade", mustRun(to, "pg_upgrade", args, folder));
  figures["pg_upgrade seconds"] = Number(((performance.now() - began) / 1_000).toFixed(1));

  const upgraded = await after.start(before.password);
  const connect = ["-h", after.folder, "-p", new URL(upgraded).port, "-U", "postgres"];
  for (const kind of [["--analyze-in-stages", "--missing-stats-only"], ["--analyze-only"]]) {
    mustRun(to, "vacuumdb", [...connect, "--all", ...kind], folder);
  }
  const found = await findingsOf(upgraded);
  same("with the SQL objects of the old pgvector", expected, await stateOf(upgraded));
  const cure = found.find(({ id }) => id.startsWith("pgvector-"));
  bar("the doctor asks for the upgrade of pgvector", "alter extension vector update;", cure?.cure ?? "nothing");
  const pool = new pg.Pool({ connectionString: upgraded, max: 1 });
  await pool.query(cure?.cure ?? "select 1");
  await pool.end();
  same("with those of the new one", expected, await stateOf(upgraded));
  const left = (await findingsOf(upgraded)).map(({ id }) => id);
  figures["findings afterwards"] = left;
  bar("findings about pgvector afterwards", "0", String(left.filter((id) => id.startsWith("pgvector-")).length));
  await writeAndFind(upgraded);
} finally {
  await before.stop();
  await after.stop();
  for (const each of [folder, before.folder, after.folder]) rmSync(each, { recursive: true, force: true });
}
process.stdout.write(`${JSON.stringify({ bench: "upgrade", figures, bars })}\n`);
process.exitCode = bars.every(({ ok }) => ok) ? 0 : 1;

function config(connectionString: string, tenantId: string): PostgresVectorStoreArgs {
  const embedders = { [next.fingerprint]: next };
  const promotedKeys = { year: "number" } as const;
  return { connectionString, tableName: "notes", tenancy: "rls", tenantId, lexical: true, promotedKeys, embedders };
}

async function fill(url: string): Promise<void> {
  const random = seededRandom(1);
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  await pool.query("create extension vector");
  await pool.end();
  const store = await PostgresVectorStore.initialize(old, config(url, "large"));
  for (const tenant of TENANTS) {
    const count = tenant === "large" ? rows : 200;
    const documents = Array.from({ length: count }, (_, i) => ({
      id: String(i),
      pageContent: `note ${i} ${words(random, 20)}`,
      metadata: { year: 1990 + (i % 30) },
    }));
    await store.forTenant(tenant).bulkLoad(documents);
  }
  await store.createHnswIndex();
  await store.models.add({ embeddings: next, storageType: "halfvec" });
  await store.models.backfill({ maxSlowdown: false });
  await store.models.cutover();
  await store.models.override("small", 1);
  await store.end();
}

function words(random: () => number, count: number): string {
  return Array.from({ length: count }, () => `topic${Math.floor(random() ** 2 * 300)}`).join(" ");
}

type Hits = readonly (readonly [id: string, score: number])[];

interface State {
  readonly versions: string;
  readonly catalog: string;
  readonly answers: readonly Hits[];
  readonly graphScans: number;
}

/** What searches find, and what the catalogs say of rows, indexes, policies and triggers. */
async function stateOf(url: string): Promise<State> {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  const scans = async (): Promise<number> => {
    const reply = await pool.query<{ scans: number }>(
      "select coalesce(sum(idx_scan), 0)::int as scans from pg_stat_user_indexes where indexrelname like '%hnsw%'",
    );
    return reply.rows[0]!.scans;
  };
  const earlier = await scans();
  const random = seededRandom(2);
  const answers: Hits[] = [];
  const store = await PostgresVectorStore.fromExistingIndex(old, config(url, "large"));
  for (const searchType of MODES) {
    for (let i = 0; i < SEARCHES; i += 1) {
      const hits = await store.forTenant(TENANTS[i % 2]!).search(words(random, 4), { k: 10, searchType });
      answers.push(hits.map(({ document, score }) => [document.id!, score]));
    }
  }
  await store.end();
  const { rows: found } = await pool.query<{ versions: string; catalog: string }>(`
    select current_setting('server_version') || ', pgvector ' || (select extversion from pg_extension where extname = 'vector') as versions,
      json_build_object(
        'rows', (select json_agg(r order by r.tenant_id) from (select tenant_id, count(*), count(embedding), count(embedding_v2) from notes group by 1) r),
        'indexes', (select json_agg(pg_get_indexdef(indexrelid) || ' ' || indisvalid order by indexrelid::regclass::text)
          from pg_index where indrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)),
        'policies', (select json_agg(p order by p.tablename, p.policyname) from pg_policies p),
        'triggers', (select json_agg(tgrelid::regclass || ' ' || tgname order by tgrelid::regclass::text, tgname) from pg_trigger where not tgisinternal),
        'comments', (select json_agg(obj_description(oid, 'pg_class') order by relname) from pg_class where relnamespace = 'public'::regnamespace)
      )::text as catalog`);
  await pool.query("select pg_stat_force_next_flush()").catch(() => undefined);
  const graphScans = (await scans()) - earlier;
  await pool.end();
  return { ...found[0]!, answers, graphScans };
}

function same(when: string, expected: State, got: State): void {
  process.stdout.write(`${expected.versions} -> ${got.versions}\n`);
  figures[when] = `${expected.versions} -> ${got.versions}`;
  const equal = got.answers.filter((hits, i) => sameHits(expected.answers[i]!, hits)).length;
  const digits = got.answers.filter((hits, i) => JSON.stringify(hits) === JSON.stringify(expected.answers[i])).length;
  figures[`${when}, to the last digit`] = digits;
  bar(`same searches ${when}`, String(expected.answers.length), String(equal));
  bar(`same rows, indexes, policies, triggers, notes ${when}`, "yes", got.catalog === expected.catalog ? "yes" : "NO");
  bar(`searches through a graph ${when}`, String(expected.graphScans), String(got.graphScans));
}

/** Another build of pgvector adds up in another order: rows of one distance, at the end too, may change places. */
function sameHits(expected: Hits, got: Hits): boolean {
  const scores = new Map(got);
  const last = expected.at(-1)?.[1] ?? 0;
  return (
    got.length === expected.length &&
    expected.every(([id, score]) => Math.abs((scores.get(id) ?? last) - score) < TOLERANCE)
  );
}

async function findingsOf(url: string) {
  const { findings } = await diagnose({ connectionString: url, tableName: "notes" });
  for (const { id, severity, evidence, cure } of findings) {
    process.stdout.write(`doctor: ${severity} ${id}: ${evidence}\n  ${cure?.split("\n")[0] ?? ""}\n`);
  }
  return findings;
}

/** Writes to both versions, the graphs and the lexical index, and holds tenants apart. */
async function writeAndFind(url: string): Promise<void> {
  const store = await PostgresVectorStore.fromExistingIndex(old, config(url, "large"));
  await store.addDocuments([{ id: "new", pageContent: "written after the upgrade", metadata: { year: 2026 } }]);
  const ids: string[] = [];
  for (const searchType of MODES) {
    const [hit] = await store.search("written after the upgrade", { k: 1, searchType });
    ids.push(hit?.document.id ?? "nothing");
  }
  const other = await store.forTenant("small").getByIds(["new"]);
  await store.end();
  bar("a new row is found in every mode, by its tenant alone", "new new new 0", `${ids.join(" ")} ${other.length}`);
}

function say(title: string, output: string): void {
  process.stdout.write(`--- ${title}\n${output.trim()}\n---\n`);
}

function bar(name: string, want: string, got: string): void {
  const ok = want === got;
  bars.push({ name, want, got, ok });
  process.stdout.write(`${ok ? "ok    " : "MISSED"} ${name}: ${got} (want ${want})\n`);
}
