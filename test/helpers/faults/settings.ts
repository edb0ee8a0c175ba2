import type { Fault } from "./fault.js";
import type { BrokenInstallation } from "./installation.js";

/** Changes the server's configuration, and waits until new sessions see it. */
function system(name: string, value: string): (installation: BrokenInstallation) => Promise<void> {
  return async ({ sql, client }) => {
    await sql(`alter system set ${name} = ${value}\nselect pg_reload_conf()`);
    await seen(await client(), name, value);
  };
}

async function seen(
  client: Awaited<ReturnType<BrokenInstallation["client"]>>,
  name: string,
  value: string,
): Promise<void> {
  for (;;) {
    const { rows } = await client.query<{ setting: string }>("select current_setting($1) as setting", [name]);
    if (rows[0]!.setting === value) return;
  }
}

const stored = (name: string, value: string): Pick<Fault, "plant" | "heal"> => ({
  plant: `alter database current set ${name} = ${value}`,
  heal: { sql: `alter database current reset ${name}` },
});

export const SETTING_FAULTS: readonly Fault[] = [
  {
    id: "maintenance-work-mem-small",
    name: "too little memory for building the graph",
    table: "plain",
    ...stored("maintenance_work_mem", "'1MB'"),
    evidence: /graph of public\.plain_embedding\w*_idx takes about 1\.\d MB .* maintenance_work_mem is 1\.0 MB/,
    cure: /set maintenance_work_mem = '2MB';$/,
    healthy: "alter database current set maintenance_work_mem = '8MB'",
    tidy: "alter database current reset maintenance_work_mem",
  },
  {
    id: "work-mem-small",
    name: "too little memory for searches",
    table: "empty",
    ...stored("work_mem", "'64kB'"),
    evidence: /work_mem is 64\.0 kB/,
    cure: /set work_mem = '16MB';$/,
    healthy: "alter database current set work_mem = '4MB'",
    tidy: "alter database current reset work_mem",
  },
  {
    id: "work-mem-large",
    name: "more memory for sorts than the machine has",
    table: "empty",
    ...stored("work_mem", "'512MB'"),
    evidence: /512 MB for each sort, and there may be 40 connections: 20\.0 GB/,
    cure: /set work_mem = '32MB';$/,
    healthy: "create role reporter\nalter role reporter set work_mem = '512MB'",
    tidy: "drop role if exists reporter",
  },
  {
    id: "parallel-maintenance-off",
    name: "index builds by one process alone",
    table: "plain",
    ...stored("max_parallel_maintenance_workers", "0"),
    evidence: /No parallel worker/,
    cure: /set max_parallel_maintenance_workers = 2;$/,
    healthy: "alter database current set max_parallel_maintenance_workers = 1",
    tidy: "alter database current reset max_parallel_maintenance_workers",
  },
  {
    id: "random-page-cost-high",
    name: "the cost of a rotating disk, with all in memory",
    table: "plain",
    ...stored("random_page_cost", "4"),
    evidence: /random_page_cost is 4, .* fits into memory/,
    cure: /set random_page_cost = 1\.1;$/,
    healthy: "alter database current set random_page_cost = 2",
    tidy: "alter database current reset random_page_cost",
  },
  {
    id: "planner-method-off",
    name: "index scans switched off",
    table: "empty",
    ...stored("enable_indexscan", "off"),
    evidence: /^enable_indexscan is off/,
    cure: /reset enable_indexscan;/,
    healthy: "alter database current set enable_indexscan = on",
    tidy: "alter database current reset enable_indexscan",
  },
  {
    id: "jit-eager",
    name: "a compiler for statements of a millisecond",
    table: "empty",
    ...stored("jit_above_cost", "100"),
    evidence: /jit is on from an estimated cost of 100/,
    cure: /set jit_above_cost = 100000;$/,
    healthy: "alter database current set jit_above_cost = 200000",
    tidy: "alter database current reset jit_above_cost",
  },
  {
    id: "autovacuum-off",
    name: "autovacuum off for all",
    table: "empty",
    plant: system("autovacuum", "off"),
    evidence: /^autovacuum is off/,
    cure: /^alter system set autovacuum = on;/,
    heal: { sql: "alter system reset autovacuum\nselect pg_reload_conf()\nselect pg_sleep(0.05)" },
    healthy: async (installation) => {
      await system("autovacuum_vacuum_cost_limit", "300")(installation);
      return () => installation.sql("alter system reset autovacuum_vacuum_cost_limit\nselect pg_reload_conf()");
    },
  },
  {
    id: "durability-off",
    name: "fsync off",
    table: "empty",
    plant: system("fsync", "off"),
    evidence: /^fsync is off: .* damaged beyond repair/,
    cure: /^alter system set fsync = on;/,
    heal: { sql: "alter system reset fsync\nselect pg_reload_conf()" },
    healthy: "alter database current set synchronous_commit = off",
    tidy: "alter database current reset synchronous_commit",
  },
  {
    id: "durability-off",
    name: "full_page_writes off",
    table: "empty",
    plant: system("full_page_writes", "off"),
    evidence: /^full_page_writes is off/,
    cure: /^alter system set full_page_writes = on;/,
    heal: { sql: "alter system reset full_page_writes\nselect pg_reload_conf()" },
    healthy: "alter database current set wal_compression = on",
    tidy: "alter database current reset wal_compression",
  },
  {
    id: "shared-buffers-small",
    name: "an index that does not fit into shared_buffers",
    // Wide enough that 4 MB, which the server of this suite has, are not enough.
    table: "wide",
    plant: async ({ sql, ownerUrl }) => {
      const { PostgresVectorStore } = await import("../../../src/index.js");
      const { HashedEmbeddings } = await import("../vectors.js");
      const store = await PostgresVectorStore.initialize(new HashedEmbeddings(1_000), {
        connectionString: ownerUrl,
        tableName: "wide",
      });
      await store.end();
      await sql(
        "insert into wide (tenant_id, collection, id, text, content_hash, embedding) select 'default', '', g::text, 'x', '', " +
          "array_fill(g::real, array[1000])::vector from generate_series(1, 1100) g\n" +
          "create index on wide using ivfflat (embedding vector_cosine_ops) with (lists = 5)\nselect pg_stat_force_next_flush()\nanalyze wide",
      );
    },
    evidence: /The vector indexes have [4-9]\.\d MB, shared_buffers 4\.0 MB/,
    cure: /alter system set shared_buffers = '\d+MB';$/,
    heal: {
      sql: "drop table wide, wide_loads\ndelete from langchain_pgvector_revisions where relation in ('wide', 'wide_loads')\ndelete from langchain_pgvector_models where store = 'wide'",
    },
    healthy: "create table texts as select g, repeat(md5(g::text), 50) as text from generate_series(1, 4000) g",
    tidy: "drop table if exists texts",
  },
  {
    id: "pgvector-old",
    name: "an old pgvector",
    table: "empty",
    // What a package's upgrade leaves without `alter extension`: 0.8.0 to 0.8.7 have the same SQL objects.
    plant: "update pg_extension set extversion = '0.8.0' where extname = 'vector'",
    evidence: /^pgvector 0\.8\.0 is older than 0\.8\.4/,
    cure: /^alter extension vector update;$/,
    heal: "cure",
    // Newer, although its text comes before that of the package.
    healthy: async ({ sql }) => {
      await sql("update pg_extension set extversion = '0.8.10' where extname = 'vector'");
      return () =>
        sql(
          "update pg_extension e set extversion = default_version from pg_available_extensions a where a.name = extname and extname = 'vector'",
        );
    },
  },
  {
    id: "pgvector-update-pending",
    name: "a pgvector whose update was not finished",
    table: "empty",
    plant: "update pg_extension set extversion = '0.8.6' where extname = 'vector'",
    evidence: /still the SQL objects of 0\.8\.6/,
    cure: /^alter extension vector update;$/,
    heal: "cure",
    healthy: "create extension pg_trgm version '1.5'",
    tidy: "drop extension if exists pg_trgm",
  },
  {
    id: "collation-changed",
    name: "a system that sorts text by other rules than when the database was made",
    table: "empty",
    // What a new glibc or ICU below the same data folder leaves.
    plant: "update pg_database set datcollversion = '2.31' where datname = current_database()",
    evidence: /made with version 2\.31 of the rules/,
    cure: /^reindex index concurrently public\.empty_pkey;\n(reindex .*\n)*alter database \S+ refresh collation version;$/,
    heal: {
      sql: "update pg_database set datcollversion = pg_database_collation_actual_version(oid) where datname = current_database()",
    },
    // Of a collation that no index of the store has.
    healthy: "create collation reports (provider = icu, locale = 'de', version = '1')",
    tidy: "drop collation if exists reports",
  },
];
