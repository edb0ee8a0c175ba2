import type { Client } from "pg";
import type { Fault } from "./fault.js";

/** A concurrent build that waits for a transaction of `other`. */
async function beginBuild(
  client: Client,
  other: Client,
  name: string,
  on: string,
): Promise<{ build: Promise<unknown>; pid: number; other: Client }> {
  await other.query("begin; lock table notes in row exclusive mode");
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  const build = client.query(`create index concurrently ${name} on notes ${on}`).catch((error: unknown) => error);
  for (;;) {
    const { rowCount } = await other.query("select from pg_class where relname = $1", [name]);
    if (rowCount === 1) break;
  }
  return { build, pid: rows[0]!.pid, other };
}

/** Cancels a concurrent build while it waits: what an interrupted one leaves behind. */
async function interruptBuild(client: Client, blocker: Client): Promise<void> {
  const { build, pid, other } = await beginBuild(
    client,
    blocker,
    "notes_embedding_hnsw_idx",
    "using hnsw (embedding vector_cosine_ops)",
  );
  await other.query(`select pg_cancel_backend(${pid})`);
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
    // A build that is under way is not valid either.
    healthy: async (installation, client) => {
      const builder = await installation.client();
      const { build, other } = await beginBuild(builder, client, "under_way", "(created_at, id, text)");
      return async () => {
        await other.query("rollback");
        await build;
        await builder.end();
        await installation.sql("drop index under_way");
      };
    },
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
    apart: {},
    healthy: async ({ sql }) => {
      await sql(
        "create index instead on plain using ivfflat (embedding vector_cosine_ops) with (lists = 10)\ndrop index plain_embedding_hnsw_idx",
      );
      return () =>
        sql(
          "drop index instead\ncreate index plain_embedding_hnsw_idx on plain using hnsw (embedding vector_cosine_ops) with (m = 4, ef_construction = 16)",
        );
    },
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
    healthy: "create index new_one on notes (content_hash, created_at)",
    tidy: "drop index if exists new_one",
  },
  {
    id: "index-larger-than-memory",
    name: "a graph beyond the machine's memory",
    plant: "alter database current set effective_cache_size = '32kB'",
    evidence: /more than the 32\.0 kB that effective_cache_size says/,
    cure: /halfvec/,
    heal: { sql: "alter database current reset effective_cache_size" },
    healthy: "alter database current set effective_cache_size = '64MB'",
    tidy: "alter database current reset effective_cache_size",
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
    healthy:
      "create index in_pieces on only parts (created_at)\n" +
      "do $$ declare part regclass; begin for part in select inhrelid from pg_inherits where inhparent = 'parts'::regclass loop " +
      "execute format('create index %I on %s (created_at)', 'piece_' || part::oid, part); " +
      "execute format('alter index in_pieces attach partition %I', 'piece_' || part::oid); end loop; end $$",
    tidy: "drop index if exists in_pieces",
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
    healthy: `comment on column notes_lexical.tenant_id is '{"building":true}'`,
    tidy: "comment on column notes_lexical.tenant_id is null",
  },
];
