import type { Client } from "pg";
import type { Fault } from "./fault.js";

const HNSW = "create index notes_embedding_hnsw_idx on notes using hnsw (embedding vector_cosine_ops)";

/** Cancels a concurrent build while it waits for a transaction: what an interrupted one leaves behind. */
async function interruptBuild(client: Client, other: Client): Promise<void> {
  await other.query("begin; lock table notes in row exclusive mode");
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  const build = client
    .query(HNSW.replace("create index", "create index concurrently"))
    .catch((error: unknown) => error);
  for (;;) {
    const { rowCount } = await other.query(
      "select from pg_index i join pg_class c on c.oid = i.indexrelid where relname = 'notes_embedding_hnsw_idx'",
    );
    if (rowCount === 1) break;
  }
  await other.query(`select pg_cancel_backend(${rows[0]!.pid})`);
  await build;
  await other.query("rollback");
}

export const INDEX_FAULTS: readonly Fault[] = [
  {
    id: "index-wrong-operator-class",
    name: "an index for another distance",
    plant:
      "drop index notes_embedding_hnsw_idx\ncreate index wrong on notes using hnsw (embedding vector_l2_ops) with (m = 4)",
    evidence: /public\.wrong has the operator class vector_l2_ops; .* only vector_cosine_ops serves/,
    cure: /vector_cosine_ops[\s\S]*drop index concurrently public\.wrong;/,
    heal: "cure",
    healthy: "create index for_a on notes using hnsw (embedding vector_cosine_ops) with (m = 4) where tenant_id = 'a'",
    tidy: "drop index if exists for_a",
  },
  {
    id: "index-on-expression",
    name: "a cast in the index expression",
    plant:
      "create index casted on plain using hnsw ((embedding::halfvec(8)) halfvec_cosine_ops) with (m = 4)\ndrop index plain_embedding_hnsw_idx",
    table: "plain",
    evidence: /is on the expression .*halfvec\(8\).* order by the bare column/,
    cure: /drop index concurrently public\.casted;/,
    heal: "cure",
    healthy: "create index lowered on plain (lower(text))",
    tidy: "drop index if exists lowered",
  },
  {
    id: "index-invalid",
    name: "a unique index that met duplicates",
    plant: async (installation) =>
      installation.sql("create unique index concurrently bad on notes (tenant_id, collection)").catch(() => undefined),
    evidence: /public\.bad on public\.notes is invalid/,
    cure: /^drop index concurrently public\.bad;$/,
    heal: "fix",
    healthy: "create unique index good on notes (tenant_id, collection, id, created_at)",
    tidy: "drop index if exists good",
  },
  {
    id: "index-invalid",
    name: "a build that was interrupted",
    plant: async (installation, client) => {
      await installation.sql("drop index if exists notes_embedding_idx, notes_embedding_hnsw_idx");
      await interruptBuild(await installation.client(), client);
    },
    evidence: /notes_embedding_hnsw_idx on public\.notes is invalid: its build was interrupted/,
    cure: /^reindex index concurrently public\.notes_embedding_hnsw_idx;$/,
    heal: "fix",
  },
  {
    id: "index-on-empty-table",
    name: "IVFFlat before the data",
    table: "empty",
    plant: "create index early on empty using ivfflat (embedding vector_cosine_ops) with (lists = 10)",
    evidence: /built while public\.empty has no rows/,
    cure: /drop index concurrently public\.early;/,
    heal: { sql: "drop index early" },
    healthy: "create index ready on empty using hnsw (embedding vector_cosine_ops)",
    tidy: "drop index if exists ready",
  },
  {
    id: "ivfflat-lists-stale",
    name: "too few lists for the rows",
    table: "plain",
    plant: "create index lists on plain using ivfflat (embedding vector_cosine_ops) with (lists = 1)",
    evidence: /has 1 lists; for the [23],\d00 rows .* about 10 are right/,
    cure: /set \(lists = 10\);\nreindex index concurrently/,
    heal: { sql: "drop index lists" },
    healthy: "create index right_lists on plain using ivfflat (embedding vector_cosine_ops) with (lists = 10)",
    tidy: "drop index if exists right_lists",
  },
  {
    id: "index-missing",
    name: "many rows and no vector index",
    table: "plain",
    plant: "drop index plain_embedding_idx",
    evidence: /has [23],\d00 rows and no vector index/,
    cure: /^create index concurrently on public\.plain using hnsw/,
    heal: "cure",
    tidy: "set enable_seqscan = off; set enable_sort = off\nselect id from plain order by embedding <=> '[1,0,0,0,0,0,0,0]' limit 1",
  },
  {
    id: "index-duplicate",
    name: "the same index twice",
    plant: "create index first on notes (created_at)\ncreate index second on notes (created_at)",
    evidence: /is the same as public\.(first|second)/,
    cure: /^drop index concurrently public\.(first|second);$/,
    heal: "fix",
    healthy: "create index ascending on notes (created_at, id)\ncreate index descending on notes (created_at, id desc)",
    tidy: "drop index if exists ascending, descending, first, second",
  },
  {
    id: "index-unused",
    name: "an index that serves nothing",
    plant:
      "create index nobody on notes (content_hash, created_at)\n" +
      "set enable_seqscan = off; set enable_sort = off\n" +
      "select id from notes order by embedding <=> '[1,0,0,0,0,0,0,0]' limit 1\n" +
      "select count(*) from generate_series(1, 1100) g cross join lateral (select 1 from notes where tenant_id = 'a' and collection = '' and id = g::text offset 0) x\n" +
      "do $$ begin for i in 1..1100 loop perform pg_current_xact_id(); commit; end loop; end $$",
    evidence: /public\.nobody .* has served no statement/,
    cure: /^drop index concurrently public\.nobody;$/,
    heal: { sql: "drop index nobody" },
  },
  {
    id: "index-larger-than-memory",
    name: "a graph beyond the machine's memory",
    plant: "alter database current set effective_cache_size = '32kB'",
    evidence: /more than the 32\.0 kB that effective_cache_size says/,
    cure: /halfvec/,
    heal: { sql: "alter database current reset effective_cache_size" },
  },
  {
    id: "index-partition-missing",
    name: "a partition without its part of the index",
    table: "parts",
    plant:
      "drop index parts_embedding_hnsw_idx\ncreate index parts_embedding_hnsw_idx on only parts using hnsw (embedding vector_cosine_ops) with (m = 4)",
    evidence: /partitioned table is not complete/,
    cure: /createHnswIndex/,
    heal: {
      sql: "drop index parts_embedding_hnsw_idx\ncreate index parts_embedding_hnsw_idx on parts using hnsw (embedding vector_cosine_ops) with (m = 4)",
    },
  },
  {
    id: "lexical-index-dead",
    name: "a lexical index full of what is gone",
    plant: "delete from notes where (metadata ->> 'n')::int % 4 = 0",
    evidence: /has 37\d dead chunks \(25 %\) in 1 collection/,
    cure: /doctor --fix/,
    heal: "fix",
    healthy:
      "delete from notes where id in ('1498', '1499')\ninsert into notes select tenant_id, collection, id || 'x', text, metadata, content_hash, created_at, embedding from notes where id in ('1496', '1497')",
  },
  {
    id: "lexical-index-unfinished",
    name: "a lexical index whose building stopped",
    plant:
      "do $$ begin execute format('comment on table notes_lexical is %L', replace(obj_description('notes_lexical'::regclass), '\"building\":false', '\"building\":true')); end $$",
    evidence: /was not finished/,
    cure: /init --table notes --lexical/,
    heal: {
      sql: "do $$ begin execute format('comment on table notes_lexical is %L', replace(obj_description('notes_lexical'::regclass), '\"building\":true', '\"building\":false')); end $$",
    },
  },
];
