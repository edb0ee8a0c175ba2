import type { Explanation, PostgresVectorStore } from "../../../src/index.js";

/** Something that makes a search slow: how to bring it about, and what `explain` has to say. */
export interface SearchFault {
  /** The finding that it must give, and the only one. */
  readonly id: string;
  readonly name: string;
  readonly table: string;
  /** SQL of a superuser, one statement a line. */
  readonly plant: string;
  readonly explain: (store: PostgresVectorStore) => Promise<Explanation>;
  readonly evidence: RegExp;
  readonly cure: RegExp;
  /** SQL of the healthy look-alike, whose explanation must have no finding. */
  readonly healthy: string;
  /** @defaultValue the search of the fault */
  readonly explainHealthy?: (store: PostgresVectorStore) => Promise<Explanation>;
  /** SQL that removes either. */
  readonly tidy: string;
}

const query =
  (sql: string) =>
  (store: PostgresVectorStore): Promise<Explanation> =>
    store.explain({ sql });
/** At one end of the arc. */
const farFrom =
  (end: 1 | -1) =>
  (store: PostgresVectorStore): Promise<Explanation> =>
    store.explain([end, 0, 0, 0, 0, 0, 0, 0], { k: 2, efSearch: 40, filter: { side: "far" } });

/**
 * Half a circle of rows, one half of it far: without a gap, so that the graph leads to either end from wherever it begins.
 * In no order, since the share of a filter is that of the first thousand rows.
 */
const ARC =
  "truncate plain\n" +
  "insert into plain (tenant_id, collection, id, text, content_hash, metadata, embedding) select 'default', '', g::text, '', '', " +
  "case when g > 1500 then '{\"side\": \"far\"}'::jsonb else '{}' end, " +
  "(array[cos(pi() * g / 3000), sin(pi() * g / 3000)] || array(select 0.05 * random() + 0 * g from generate_series(1, 6)))::real[]::vector " +
  "from generate_series(1, 3000) g order by md5(g::text)\n" +
  "vacuum (analyze) plain";

export const SEARCH_FAULTS: readonly SearchFault[] = [
  {
    id: "planner-cost",
    name: "costs with which no index looks cheap",
    table: "plain",
    plant: "alter database current set random_page_cost = 1000000",
    explain: query("select id from plain order by embedding <=> '[1,0,0,0,0,0,0,0]' limit 4"),
    evidence: /^The index public\.plain_embedding\w*_idx suits the search, .* \(random_page_cost is 1e\+06\)/,
    cure: /^analyze public\.plain;\n[\s\S]*set random_page_cost = 1\.1;/,
    healthy: "alter database current set random_page_cost = 2",
    tidy: "alter database current reset random_page_cost",
  },
  {
    id: "reads-from-disk",
    name: "more pages than shared_buffers keeps",
    table: "loose",
    plant:
      "insert into loose (tenant_id, collection, id, text, content_hash) select 'default', '', (10000 + g)::text, " +
      "repeat(md5(g::text), 50), '' from generate_series(1, 4000) g\nvacuum (analyze) loose",
    explain: query("select max(text) from loose"),
    evidence: /^[\d.]+ MB \(\d+(\.\d)? %\) came from outside of shared_buffers/,
    cure: /^select pg_prewarm\(/,
    healthy:
      "insert into loose (tenant_id, collection, id, text, content_hash) select 'default', '', (10000 + g)::text, " +
      "repeat(md5(g::text), 50), '' from generate_series(1, 400) g\nvacuum (analyze) loose",
    tidy: "delete from loose where id::int > 10000\nselect pg_stat_force_next_flush()\nvacuum (full, analyze) loose",
  },
  {
    id: "sort-spills",
    name: "a sort that does not fit into work_mem",
    table: "plain",
    plant: "alter database current set work_mem = '64kB'",
    explain: query("select id, text from plain order by text"),
    evidence: /did not fit into work_mem \(64kB\): [\d.]+ kB went through temporary files/,
    cure: /^alter role current_user set work_mem = '64MB';$/,
    healthy: "alter database current set work_mem = '1MB'",
    tidy: "alter database current reset work_mem",
  },
  {
    id: "estimate-wrong",
    name: "statistics from before a change of all rows",
    table: "loose",
    plant: "analyze loose\nupdate loose set collection = 'moved'",
    explain: query("select id from loose where collection = 'moved'"),
    evidence: /^The planner expected \d+ rows of loose and 3,000 came; 3,000 rows have changed/,
    cure: /^analyze loose;$/,
    healthy: "update loose set collection = 'moved'\nselect pg_stat_force_next_flush()\nanalyze loose",
    tidy: "update loose set collection = ''\nselect pg_stat_force_next_flush()\nvacuum (full, analyze) loose",
  },
  {
    id: "index-scan-fell-back",
    name: "a filter that keeps nothing of the neighbourhood",
    table: "plain",
    plant: ARC,
    explain: farFrom(1),
    evidence: /^The scan of the vector index met too few rows that match/,
    cure: /init --promote key:type$/,
    healthy: ARC,
    explainHealthy: farFrom(-1),
    tidy: "truncate plain",
  },
];
