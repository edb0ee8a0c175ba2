import { PostgresVectorStore } from "../src/index.js";
import { lexicalTables } from "../src/schema/lexical.js";
import {
  type BenchOptions,
  type BenchResult,
  describeMachine,
  interleave,
  median,
  openBenchDatabase,
  progress,
  table,
} from "./harness.js";
import { readPieces } from "./hybrid/sets.js";

const TYPICAL = "how does partition pruning work for declarative constraints";
const COMMON = "use result data function type value cell study";
/** Chunks of a small tenant. */
const SMALL = 1_000;

/** BM25 of `(chunk, tf, length, term)` rows named `found`, the ten best. */
const SCORED = `
  , corpus as (select count(*)::float8 as chunks, avg(length)::float8 as average from lengths),
  idf as (select term, ln(1 + (c.chunks - count(*) + 0.5) / (count(*) + 0.5)) as idf from found, corpus c group by term, c.chunks)
  select chunk, sum(idf * tf / (tf + 1.2 * (0.4 + 0.6 * length / average))) as score
  from found join idf using (term), corpus group by chunk order by score desc limit 10`;
const ASKED = `asked as materialized (select lexeme as term from unnest(to_tsvector('english', $1)))`;

interface Layout {
  readonly name: string;
  readonly tables: readonly string[];
  readonly make: string;
  readonly search: string;
}

/** Ways of keeping what BM25 needs in plain tables, over `pieces (chunk, words)` and `lengths (chunk, length)`. */
const LAYOUTS: readonly Layout[] = [
  {
    name: "tsvector and GIN, BM25 of the candidates",
    tables: ["pieces"],
    make: "create index on pieces using gin (words)",
    search: `with ${ASKED}, found as materialized (
        select p.chunk, w.lexeme as term, coalesce(cardinality(w.positions), 1) as tf, l.length
        from pieces p join lengths l using (chunk), unnest(p.words) as w
        where p.words @@ (select string_agg(quote_literal(term), ' | ')::tsquery from asked) and w.lexeme in (select term from asked)
      ) ${SCORED}`,
  },
  {
    name: "a row for each chunk and term",
    tables: ["posting_rows"],
    make: `create table posting_rows (term text, chunk int4, tf int2, length int2, primary key (term, chunk));
      insert into posting_rows select w.lexeme, p.chunk, coalesce(cardinality(w.positions), 1), l.length
      from pieces p join lengths l using (chunk), unnest(p.words) as w order by 1, 2`,
    search: `with ${ASKED}, found as materialized (select r.* from asked join posting_rows r using (term)) ${SCORED}`,
  },
  ...[500, 4_096].map((block): Layout => ({
    name: `arrays by term in blocks of ${block} chunks`,
    tables: [`blocks_${block}`],
    make: `create table blocks_${block} (term text, block int4, chunks int4[], tfs int2[], lengths int2[], primary key (term, block));
      insert into blocks_${block} select w.lexeme, p.chunk / ${block}, array_agg(p.chunk order by p.chunk),
        array_agg(coalesce(cardinality(w.positions), 1)::int2 order by p.chunk), array_agg(l.length order by p.chunk)
      from pieces p join lengths l using (chunk), unnest(p.words) as w group by 1, 2`,
    search: `with ${ASKED}, found as materialized (
        select term, unnest(chunks) as chunk, unnest(tfs) as tf, unnest(lengths) as length
        from asked join blocks_${block} using (term)
      ) ${SCORED}`,
  })),
];

/** Reads every text of a small tenant; nothing is kept but the texts' terms. */
const BRUTE_FORCE = `with ${ASKED}, found as materialized (
    select p.chunk, w.lexeme as term, coalesce(cardinality(w.positions), 1) as tf, l.length
    from small p join lengths l using (chunk), unnest(p.words) as w where w.lexeme in (select term from asked)
  ) ${SCORED}`;

/** Size and latency of the layouts that were candidates for the lexical index; see docs/decisions/0013-lexical-index.md. */
export async function run({ quick, rows = quick ? 4_000 : 50_000 }: BenchOptions): Promise<BenchResult> {
  const database = await openBenchDatabase();
  try {
    const pool = database.newPool({ max: 2, options: "-c jit=off -c work_mem=64MB" });
    const pieces = readPieces(rows);
    const bytes = pieces.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0);
    await pool.query(
      `create table pieces as select (n - 1)::int4 as chunk, to_tsvector('english', text) as words
       from unnest($1::text[]) with ordinality as t (text, n)`,
      [pieces],
    );
    await pool.query(
      `create table lengths as select chunk, (select sum(coalesce(cardinality(positions), 1)) from unnest(words))::int2 as length
       from pieces; create table small as select * from pieces where chunk < ${SMALL}`,
    );
    for (const layout of LAYOUTS) {
      await pool.query(layout.make);
      progress(layout.name);
    }
    const embeddings = { embedQuery: () => Promise.resolve([1]), embedDocuments: () => Promise.resolve([]) };
    const open = async (tableName: string, count: number): Promise<PostgresVectorStore> => {
      const store = await PostgresVectorStore.initialize(embeddings, { pool, tableName, dimensions: 1, lexical: true });
      const items = pieces.slice(0, count).map((pageContent, index) => ({
        document: { id: String(index), pageContent, metadata: {} },
        embedding: [1],
      }));
      await store.bulkLoad(items, { batchRows: 5_000, vacuum: false });
      await store.lexical.compact();
      return store;
    };
    const own = await open("layout_own", rows);
    const small = await open("layout_small", SMALL);
    await pool.query("vacuum analyze");
    const size = async (tables: readonly string[]): Promise<number> => {
      const { rows: sizes } = await pool.query<{ size: number }>(
        "select sum(pg_total_relation_size(t::regclass))::float8 as size from unnest($1::text[]) as t",
        [tables],
      );
      return sizes[0]!.size / bytes;
    };
    const candidates = [
      ...LAYOUTS.map(({ name, tables, search }) => ({ name, tables, search: (q: string) => pool.query(search, [q]) })),
      {
        name: "a row for a common term, else for a bucket of terms",
        tables: lexicalTables("layout_own"),
        search: (q: string) => own.search(q, { searchType: "lexical", k: 10 }),
      },
      { name: `brute force over ${SMALL} chunks`, tables: [], search: (q: string) => pool.query(BRUTE_FORCE, [q]) },
      {
        name: `the chosen layout with ${SMALL} chunks`,
        tables: [],
        search: (q: string) => small.search(q, { searchType: "lexical", k: 10 }),
      },
    ];
    const time = (query: string) =>
      interleave(
        candidates.map(({ name, search }) => ({ name, run: () => search(query) })),
        { turns: quick ? 5 : 15, warmUp: 3 },
      );
    const [typical, common] = [await time(TYPICAL), await time(COMMON)];
    const report = [];
    for (const { name, tables } of candidates) {
      report.push({
        layout: name,
        "size / text": tables.length === 0 ? "" : await size(tables),
        "typical, p50 ms": median(typical.get(name)!),
        "eight commonest, p50 ms": median(common.get(name)!),
      });
    }
    table(`${rows} chunks`, report);
    return { machine: await describeMachine(database), figures: { layouts: report }, bars: [] };
  } finally {
    await database.close();
  }
}
