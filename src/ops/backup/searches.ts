import sql, { raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { identifier, quoteIdentifier, quoteQualified } from "../../db/identifiers.js";
import type { Metric } from "../../schema/layout.js";
import { operatorText } from "../../store/metric.js";
import type { StoredModel } from "./models.js";
import type { BackupRelation } from "./relations.js";

/** A chunk, and the nearest ones of its tenant and collection by exact search. */
export interface SampleSearch {
  readonly store: string;
  readonly column: string;
  readonly tenant: string;
  readonly collection: string;
  readonly id: string;
  readonly hits: readonly { readonly id: string; readonly distance: number }[];
}

const SAMPLES = 10;
const HITS = 10;
/** Processors add up in another order. */
const TOLERANCE = 1e-6;

/** Searches with vectors of a store that are picked by a hash of their keys. */
export async function sampleSearches(
  session: Session,
  relation: BackupRelation,
  model: StoredModel,
  vectorSchema: string,
): Promise<SampleSearch[]> {
  const id = identifier(idColumn(relation));
  const { rows } = await session.execute({
    name: "backup-samples",
    sql: sql`
      select tenant_id as tenant, collection, ${id} as id from ${raw(relation.quoted)}
      where ${identifier(model.column)} is not null
      order by md5(tenant_id || ' ' || ${id}) limit ${SAMPLES}::int4`,
  });
  const samples: SampleSearch[] = [];
  for (const row of rows as { tenant: string; collection: string; id: string }[]) {
    const sample = { store: model.store, column: model.column, ...row };
    samples.push({
      ...sample,
      hits: await nearest(session, relation.quoted, idColumn(relation), model.metric, sample, vectorSchema),
    });
  }
  return samples;
}

/** Whether a sampled search finds the same rows; run in the scope of its tenant. */
export async function repeatSearch(
  session: Session,
  schema: string,
  sample: SampleSearch,
  id: string,
  metric: Metric,
  vectorSchema: string,
): Promise<boolean> {
  const found = await nearest(session, quoteQualified(schema, sample.store), id, metric, sample, vectorSchema);
  const distances = new Map(found.map((hit) => [hit.id, hit.distance]));
  const last = sample.hits.at(-1)?.distance ?? 0;
  return (
    found.length === sample.hits.length &&
    // At the end of the list rows of one distance may take each other's place.
    sample.hits.every((hit) => near(distances.get(hit.id) ?? last, hit.distance))
  );
}

function near(a: number, b: number): boolean {
  return Math.abs(a - b) <= TOLERANCE * Math.max(1, Math.abs(a));
}

async function nearest(
  session: Session,
  table: string,
  id: string,
  metric: Metric,
  sample: Omit<SampleSearch, "hits">,
  vectorSchema: string,
): Promise<SampleSearch["hits"]> {
  const vector = quoteIdentifier(sample.column);
  const { rows } = await session.execute({
    name: "backup-search",
    // A sum is no order that an index has, so this is exact.
    sql: sql`
      select t.${identifier(id)} as id, (t.${raw(vector)} ${raw(operatorText(metric, vectorSchema))} q.vector)::float8 as distance
      from ${raw(table)} t, (
        select ${raw(vector)} as vector from ${raw(table)}
        where tenant_id = ${sample.tenant}::text and collection = ${sample.collection}::text and ${identifier(id)} = ${sample.id}::text
      ) q
      where t.tenant_id = ${sample.tenant}::text and t.collection = ${sample.collection}::text and t.${raw(vector)} is not null
      order by (t.${raw(vector)} ${raw(operatorText(metric, vectorSchema))} q.vector) + 0, t.${identifier(id)}
      limit ${HITS}::int4`,
  });
  return rows as unknown as SampleSearch["hits"];
}

export function idColumn(relation: Pick<BackupRelation, "primaryKey">): string {
  return relation.primaryKey.find((name) => name !== "tenant_id" && name !== "collection")!;
}
