import { PostgresVectorStore } from "../../src/index.js";
import type { ServerTestDatabase } from "../../test/helpers/open-database.js";
import { vectorSpace } from "../../test/helpers/vector-space.js";
import { atMost, type Bar, type Competitor, interleave, median, progress, quantile, table } from "../harness.js";
import { K } from "./competitors.js";
import { NoEmbeddings } from "./data.js";

const PROBED = 20;

/** Tables of 1 to 10,000 tenants of equal size, of whom 20 spread over the table are asked in turns. */
export async function sweep(
  database: ServerTestDatabase,
  options: {
    dimensions: number;
    tenants: readonly number[];
    rowsEach: readonly number[];
    turns: number;
    maxRows: number;
  },
): Promise<{ figures: Record<string, unknown>[]; bars: Bar[] }> {
  const { dimensions, turns } = options;
  const cases = options.rowsEach
    .flatMap((rowsEach) => options.tenants.map((tenants) => ({ rowsEach, tenants })))
    .filter(({ rowsEach, tenants }) => rowsEach * tenants <= options.maxRows);
  const next = vectorSpace({ dimensions })(2);
  const queries = Array.from({ length: 50 }, () => Array.from(next()));
  const competitors: Competitor[] = [];
  for (const { rowsEach, tenants } of cases) {
    const store = await loadEqualTenants(database, dimensions, rowsEach, tenants);
    const probe = (turn: number): string => String(Math.floor(((turn % PROBED) / PROBED) * tenants));
    competitors.push({
      name: `${tenants}x${rowsEach}`,
      run: (turn) => store.forTenant(probe(turn)).search(queries[turn % queries.length]!, { k: K }),
    });
    progress(`loaded ${tenants} tenants of ${rowsEach} rows`);
  }
  // Every probed tenant comes by twice before the clock counts.
  const samples = await interleave(competitors, { turns, warmUp: 2 * PROBED });
  const figures = cases.map(({ rowsEach, tenants }) => {
    const times = samples.get(`${tenants}x${rowsEach}`)!;
    return { "rows each": rowsEach, tenants, "p50 ms": median(times), "p95 ms": quantile(times, 0.95) };
  });
  table(`Number of tenants: our search, exact, ${dimensions} dimensions, one client`, figures);
  const bars = options.rowsEach.map((rowsEach) => {
    const p50 = figures.filter((row) => row["rows each"] === rowsEach).map((row) => row["p50 ms"]);
    const most = Math.max(...figures.filter((row) => row["rows each"] === rowsEach).map((row) => row.tenants));
    return atMost(`flat over 1 to ${most} tenants of ${rowsEach} rows`, Math.max(...p50) / Math.min(...p50), 1.5, " x");
  });
  return { figures, bars };
}

/** Made by the server from 1,000 vectors: exact searches do not care which ones they meet. */
async function loadEqualTenants(
  database: ServerTestDatabase,
  dimensions: number,
  rowsEach: number,
  tenants: number,
): Promise<PostgresVectorStore> {
  const tableName = `sweep_${rowsEach}_${tenants}`;
  const pool = database.newPool({ max: 1 });
  const config = { tableName, tenancy: "rls", dimensions } as const;
  const owner = await PostgresVectorStore.initialize(new NoEmbeddings(), { ...config, pool });
  const draw = vectorSpace({ dimensions })(1);
  const seeds = Array.from({ length: Math.min(1_000, rowsEach) }, (_, i) => ({ id: String(i), pageContent: "seed" }));
  await owner.forTenant("seed").addVectors(
    seeds.map(draw),
    seeds.map((seed) => ({ ...seed, metadata: {} })),
  );
  await pool.query(
    `insert into ${tableName} (tenant_id, collection, id, text, metadata, content_hash, embedding)
     select t::text, '', r.id, 'chunk ' || r.id, '{"source": "sweep"}', r.content_hash, r.embedding
     from generate_series(0, $1::int - 1) as t
     cross join (select id, content_hash, embedding from ${tableName} where tenant_id = 'seed' offset 0) as r`,
    [tenants],
  );
  await pool.query(
    `insert into langchain_pgvector_tenants (tenant_id, store) select t::text, $2 from generate_series(0, $1::int - 1) as t`,
    [tenants, tableName],
  );
  await owner.forTenant("seed").delete({ ids: seeds.map(({ id }) => id) });
  await pool.query(`vacuum (analyze) ${tableName}`);
  const app = database.newPool({ connectionString: database.appUrl, max: 1 });
  return PostgresVectorStore.fromExistingIndex(new NoEmbeddings(), { ...config, pool: app });
}
