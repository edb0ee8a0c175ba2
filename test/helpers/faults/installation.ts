import { setTimeout as sleep } from "node:timers/promises";
import { Client, Pool } from "pg";
import { Database } from "../../../src/db/database.js";
import { PostgresVectorStore } from "../../../src/index.js";
import { examine, type Diagnosis } from "../../../src/ops/doctor/examine.js";
import { fixFindings, type FixedFinding } from "../../../src/ops/doctor/fix.js";
import { DOCTOR_LIMITS, type DoctorLimits } from "../../../src/ops/doctor/limits.js";
import { resolveOptions } from "../../../src/store/options.js";
import { prepareServer } from "../fresh-database.js";
import { startNativeServer } from "../native-server.js";
import { openDatabaseOn } from "../open-database.js";
import { HashedEmbeddings } from "../vectors.js";
import type { Fault } from "./fault.js";

/** A server of its own with five stores: settings, roles and extensions can be broken without breaking other tests. */
export interface BrokenInstallation {
  readonly url: string;
  readonly ownerUrl: string;
  /** Of the database. */
  readonly name: string;
  readonly embeddings: HashedEmbeddings;
  /** Runs SQL as a superuser, one statement a line, in a session of its own. */
  readonly sql: (text: string) => Promise<void>;
  readonly client: () => Promise<Client>;
  examine(fault: Partial<Pick<Fault, "table" | "limits" | "as" | "options">>): Promise<Diagnosis>;
  fix(fault: Partial<Pick<Fault, "table" | "limits" | "as">>): Promise<FixedFinding[]>;
  close(): Promise<void>;
}

const SETTINGS = {
  fsync: "on",
  full_page_writes: "on",
  max_connections: "40",
  max_prepared_transactions: "4",
  // It would repair what is broken on purpose.
  autovacuum_naptime: "1d",
  max_wal_senders: "4",
  shared_buffers: "4MB",
};

/** Rows of the store with tenancy and of the one without; small, so the limit in rows is lowered to them. */
const NOTES = 1_500;
const PLAIN = 3_000;
const LIMITS = { ...DOCTOR_LIMITS, rowsWithoutIndex: 1_200 };
/** The store `loose` has no vector index, into which loading the rows of some faults would take too long. */
const limitsOf = (table: string | undefined): DoctorLimits =>
  table === "loose" ? { ...LIMITS, rowsWithoutIndex: DOCTOR_LIMITS.rowsWithoutIndex } : LIMITS;

/** `undefined` where no PostgreSQL can be started. */
export async function openBrokenInstallation(): Promise<BrokenInstallation | undefined> {
  const server = await startNativeServer(SETTINGS);
  if (server === undefined) return undefined;
  const prepared = await prepareServer(server.url);
  const database = await openDatabaseOn({ ...prepared, source: "native" });
  const clients: Client[] = [];
  const client = async (): Promise<Client> => {
    const made = new Client({ connectionString: database.url });
    made.on("error", () => {});
    await made.connect();
    clients.push(made);
    return made;
  };
  const sql = async (text: string): Promise<void> => {
    const one = new Client({ connectionString: database.url });
    await one.connect();
    try {
      for (const line of statementsOf(text)) await one.query(line);
      await one.query("select pg_stat_force_next_flush()");
      await one.query("select 1");
    } finally {
      await one.end();
    }
  };
  const using = async <T>(
    { table = "notes", as, options }: Partial<Pick<Fault, "table" | "as" | "options">>,
    work: (database: Database, layout: ReturnType<typeof resolveOptions>["layout"]) => Promise<T>,
  ): Promise<T> => {
    // A new connection each time, since it is new ones that settings of a database reach.
    const pool = new Pool({ connectionString: as === "superuser" ? database.url : database.ownerUrl, max: 1, options });
    try {
      const { layout } = resolveOptions({ pool, tableName: table, tenancy: "rls" });
      return await work(new Database(pool), layout);
    } finally {
      await pool.end();
    }
  };
  const embeddings = new HashedEmbeddings(8);
  const ownerPool = database.newPool({ connectionString: database.ownerUrl, max: 2 });
  const open = (tableName: string, more: object): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(embeddings, { pool: ownerPool, tableName, ...more });
  await sql("grant pg_monitor to langchain_pgvector_owner");
  const owner = await open("notes", { tenancy: "rls", lexical: true });
  await open("plain", {});
  await open("empty", {});
  await open("loose", {});
  const parts = await open("parts", { tenancy: "rls", partitions: "by-tenant" });
  await owner
    .forTenant("a")
    .bulkLoad(
      Array.from({ length: NOTES }, (_, id) => ({ id: `${id}`, pageContent: `note ${id}`, metadata: { n: id } })),
    );
  await parts.forTenant("a").addDocuments([{ id: "1", pageContent: "one", metadata: {} }]);
  await parts.createHnswIndex({ m: 4, efConstruction: 16, targetRecall: false });
  // Its backends report what they counted when they end, and it must not be counted as after the analyze below.
  await ownerPool.end();
  await alone(database.url);
  await sql(`${fill("plain", 1, PLAIN)}
${fill("loose", 1, PLAIN)}
create index notes_embedding_hnsw_idx on notes using hnsw (embedding vector_cosine_ops)
create index plain_embedding_hnsw_idx on plain using hnsw (embedding vector_cosine_ops) with (m = 4, ef_construction = 16)
set enable_seqscan = off; set enable_sort = off
select id from notes order by embedding <=> (select embedding from notes limit 1) limit 1
select id from plain order by embedding <=> (select embedding from plain limit 1) limit 1
select pg_stat_force_next_flush()
vacuum (analyze)`);
  return {
    url: database.url,
    ownerUrl: database.ownerUrl,
    name: new URL(database.url).pathname.slice(1),
    embeddings,
    sql,
    client,
    examine: ({ limits, ...how }) =>
      using(how, (opened, layout) => examine(opened, layout, { limits: { ...limitsOf(how.table), ...limits } })),
    fix: ({ limits, ...how }) =>
      using(how, (opened, layout) => fixFindings(opened, layout, { limits: { ...limitsOf(how.table), ...limits } })),
    close: async () => {
      for (const one of clients) await one.end().catch(() => undefined);
      await database.close();
      await server.stop();
    },
  };
}

/** Waits until nobody else is connected: a pool has ended before its backends have. */
async function alone(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    for (;;) {
      const { rows } = await client.query(
        "select 1 from pg_stat_activity where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()",
      );
      if (rows.length === 0) return;
      await sleep(20);
    }
  } finally {
    await client.end();
  }
}

/** The SQL in a text: comments and commands of the shell are not. */
export function statementsOf(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "" && !/^\s*(--|npx |await )/.test(line));
}

/** Rows of a store without tenancy, made by the server. */
export function fill(table: string, from: number, to: number): string {
  return (
    `insert into ${table} (tenant_id, collection, id, text, content_hash, embedding) ` +
    "select 'default', '', g::text, 'row ' || g, '', array(select random() + 0 * g from generate_series(1, 8))::real[]::vector " +
    `from generate_series(${from}, ${to}) g`
  );
}
