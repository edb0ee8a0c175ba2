import type { ServerTestDatabase } from "../../test/helpers/open-database.js";
import { recall } from "../../test/helpers/vectors.js";
import { atLeast, type Bar, table } from "../harness.js";
import { K } from "./competitors.js";
import { type Corpus, TABLE, tenantName } from "./data.js";

/** Keeps one row in a hundred. */
const FILTER = { bucket: 7 };

/** recall@10 of our searches against an exact one, without and with a filter that keeps 1 %. */
export async function measureRecall(
  database: ServerTestDatabase,
  corpus: Corpus,
  queries: number,
): Promise<{ figures: Record<string, number>; bars: Bar[] }> {
  const pool = database.newPool({ max: 1 });
  const rows: Record<string, string | number>[] = [];
  const figures: Record<string, number> = {};
  const bars: Bar[] = [];
  for (const { kind } of corpus.kinds) {
    const tenant = tenantName(kind, 0);
    const line: Record<string, string | number> = { tenant: kind };
    for (const [label, filter] of [
      ["all rows", undefined],
      ["1 % filter", FILTER],
    ] as const) {
      let total = 0;
      for (const query of corpus.queries.slice(0, queries)) {
        const { rows: wanted } = await pool.query<{ id: string }>(
          `select id from ${TABLE} where tenant_id = $1 and metadata @> $2 order by (embedding <=> $3) + 0 limit ${K}`,
          [tenant, filter ?? {}, `[${query.join(",")}]`],
        );
        const hits = await corpus.store.forTenant(tenant).search(query, { k: K, ...(filter && { filter }) });
        const found = hits.map((hit) => hit.document.id);
        total +=
          wanted.length === 0
            ? 1
            : recall(
                found,
                wanted.map((row) => row.id),
              );
      }
      const mean = total / queries;
      line[label] = mean;
      figures[`${kind}, ${label}`] = mean;
      bars.push(atLeast(`recall@10, tenant ${kind}, ${label}`, mean, 0.99));
    }
    rows.push(line);
  }
  table(`recall@10 against exact, ${queries} queries`, rows);
  return { figures, bars };
}
