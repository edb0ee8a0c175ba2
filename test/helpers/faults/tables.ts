import type { Fault } from "./fault.js";
import { fill } from "./installation.js";

export const TABLE_FAULTS: readonly Fault[] = [
  {
    id: "table-dead-rows",
    name: "autovacuum off and 40 % of the rows dead",
    table: "plain",
    plant: "alter table plain set (autovacuum_enabled = off)\ndelete from plain where id::int % 5 < 2",
    also: ["autovacuum-disabled", "statistics-stale"],
    evidence: /^1,200 rows of public\.plain are dead \(40 %\), .* quicker to build the graph anew first/,
    cure: /^reindex index concurrently public\.plain_embedding_idx;\nvacuum \(analyze/,
    heal: "fix",
    healthy: "update plain set metadata = '{}' where id::int % 5 = 0",
  },
  {
    id: "autovacuum-disabled",
    name: "autovacuum off for one table",
    table: "loose",
    plant: "alter table loose set (autovacuum_enabled = false)",
    evidence: /Autovacuum is off for public\.loose/,
    cure: /^alter table public\.loose reset \(autovacuum_enabled/,
    heal: "fix",
    healthy: "alter table empty set (autovacuum_enabled = on)",
    tidy: "alter table empty reset (autovacuum_enabled)",
  },
  {
    id: "autovacuum-too-late",
    name: "autovacuum that waits for more dead rows than there are",
    table: "loose",
    plant: "alter table loose set (autovacuum_vacuum_threshold = 50000)",
    evidence: /when 50,150 rows are dead/,
    cure: /set \(autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0\.05\);$/,
    heal: "fix",
    tidy: "alter table loose reset (autovacuum_vacuum_threshold, autovacuum_vacuum_scale_factor)",
    healthy: "alter table loose set (autovacuum_vacuum_threshold = 5000)",
  },
  {
    id: "statistics-missing",
    name: "rows that were never analyzed",
    table: "loose",
    plant:
      "select pg_stat_reset_single_table_counters('loose'::regclass)\nupdate loose set metadata = '{}' where id = '1'\n" +
      fill("loose", 4_001, 5_100),
    evidence: /about .* rows and was never analyzed/,
    cure: /^analyze public\.loose;$/,
    heal: "fix",
    // Counted from zero, as after a crash, and analyzed since.
    healthy: "select pg_stat_reset_single_table_counters('loose'::regclass)\nanalyze loose",
    tidy: "delete from loose where id::int > 4000\nselect pg_stat_force_next_flush()\nvacuum (analyze) loose",
  },
  {
    id: "statistics-stale",
    name: "a load since the last analyze",
    table: "loose",
    plant: fill("loose", 4_001, 8_000),
    evidence: /^4,000 rows of public\.loose have changed/,
    cure: /^analyze public\.loose;$/,
    heal: "fix",
    tidy: "delete from loose where id::int > 4000\nselect pg_stat_force_next_flush()\nvacuum (analyze) loose",
    healthy: fill("loose", 4_001, 4_900),
  },
  {
    id: "table-unlogged",
    name: "an unlogged table",
    table: "empty",
    plant: "alter table empty set unlogged",
    evidence: /is unlogged: it is emptied by the next crash/,
    cure: /alter table public\.empty set logged;$/,
    heal: "cure",
    healthy: "create unlogged table staging (id int)",
    tidy: "drop table if exists staging",
  },
  {
    id: "hot-updates-low",
    name: "full pages, so that every update writes to every index",
    table: "loose",
    plant:
      "alter table loose set (fillfactor = 100)\nalter table loose reset (toast_tuple_target)\nselect pg_stat_reset_single_table_counters('loose'::regclass)\nvacuum (full, analyze) loose\n" +
      "update loose set metadata = '{\"seen\": true}' where id::int % 3 < 2\nselect pg_stat_force_next_flush()\nvacuum (analyze) loose",
    evidence: /^Only .* % of 2,000 updates of public\.loose stayed within their page \(fillfactor 100\)/,
    cure: /^alter table public\.loose set \(fillfactor = 90\);$/,
    heal: "fix",
    tidy: "select pg_stat_reset_single_table_counters('loose'::regclass)\nvacuum (full) loose\nanalyze loose",
    // Rows with their vectors in them never find room, whatever the fillfactor.
    healthy:
      "alter table loose set (fillfactor = 100, toast_tuple_target = 8160)\nvacuum (full, analyze) loose\n" +
      "update loose set metadata = '{\"seen\": true}' where id::int % 3 < 2\nselect pg_stat_force_next_flush()\nvacuum (analyze) loose",
  },
  {
    id: "table-bloat",
    name: "pages of rows that are gone",
    table: "loose",
    as: "superuser",
    plant:
      "insert into loose (tenant_id, collection, id, text, content_hash) select 'default', '', (10000 + g)::text, " +
      "repeat(md5(g::text), 50), '' from generate_series(1, 7000) g\n" +
      "delete from loose where id::int > 10000 and id::int % 10 > 0\nselect pg_stat_force_next_flush()\nvacuum (analyze) loose",
    evidence: /has 1\d\.\d MB, and its .* rows need about/,
    cure: /vacuum \(full, analyze\) public\.loose;$/,
    heal: "cure",
    healthy:
      "insert into loose (tenant_id, collection, id, text, content_hash) select 'default', '', (10000 + g)::text, " +
      "repeat(md5(g::text), 50), '' from generate_series(1, 1000) g\n" +
      "delete from loose where id::int > 10000 and id::int % 10 > 0\nselect pg_stat_force_next_flush()\nvacuum (analyze) loose",
    apart: {},
    tidy: "delete from loose where id::int > 10000\nselect pg_stat_force_next_flush()\nvacuum (full, analyze) loose",
  },
  {
    id: "vector-compression",
    name: "vectors that Postgres tries to compress",
    table: "empty",
    plant: "alter table empty alter column embedding set storage extended",
    evidence: /tries to compress each vector/,
    cure: /^alter table public\.empty alter column "embedding" set storage external;$/,
    heal: "fix",
    healthy: "alter table plain alter column embedding set storage plain",
    tidy: "alter table plain alter column embedding set storage external",
  },
  {
    id: "bulk-load-interrupted",
    name: "a bulk load that died",
    table: "plain",
    plant:
      "alter table plain set (autovacuum_enabled = off)\n" +
      "insert into langchain_pgvector_maintenance (store, kind, name, definition, touched_at) values ('plain', 'autovacuum', 'plain', 'reset', now() - interval '1 hour')",
    evidence: /ended before it could restore autovacuum/,
    cure: /doctor --fix --table plain/,
    heal: "fix",
    healthy:
      "alter table empty set (autovacuum_enabled = off)\n" +
      // A record ages, and the tests that look at this one take a while.
      "insert into langchain_pgvector_maintenance (store, kind, name, definition, touched_at) values ('empty', 'autovacuum', 'empty', 'reset', now() + interval '1 hour')",
    tidy: "delete from langchain_pgvector_maintenance\nalter table empty reset (autovacuum_enabled)",
  },
];
