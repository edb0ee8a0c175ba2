import sql, { raw, type Sql } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { identifier, qualified } from "../../db/identifiers.js";
import { SchemaDriftError } from "../../errors.js";
import { distanceOperator } from "../metric.js";
import type { ResolvedOptions } from "../options.js";
import { collectionOf } from "./plan.js";
import type { Survey } from "./survey.js";

/** What must be the same before and after adopting. */
export interface Fingerprint {
  /** Rows of each collection, and a checksum over their ids, contents and metadata. */
  readonly collections: readonly string[];
  /** For sampled rows the ids and distances of their nearest neighbours, found exactly. */
  readonly searches: readonly string[];
}

const SAMPLE_QUERIES = 5;
const SAMPLE_K = 10;

/** Reads the table once for the counts and once for each sampled search. */
export async function fingerprint(
  session: Session,
  survey: Survey,
  options: ResolvedOptions,
  when: "before" | "after",
): Promise<Fingerprint> {
  const chunks = qualified(survey.state.schema, options.layout.table);
  return {
    collections: await countRows(session, chunks, options, collectionExpression(survey, when)),
    searches: await sampleSearches(session, chunks, survey, options),
  };
}

/** @throws SchemaDriftError naming the first difference. */
export function verifySame(before: Fingerprint, after: Fingerprint): void {
  for (const [what, was, is] of [
    ["the rows of a collection differ", before.collections, after.collections],
    ["a search gives other results", before.searches, after.searches],
  ] as const) {
    const at = Array.from({ length: Math.max(was.length, is.length) }).findIndex(
      (_, index) => was[index] !== is[index],
    );
    if (at === -1) continue;
    throw new SchemaDriftError(
      `Adopting was rolled back: ${what}. Before: ${was[at] ?? "none"}; after: ${is[at] ?? "none"}.`,
    );
  }
}

function collectionExpression(survey: Survey, when: "before" | "after"): Sql {
  if (when === "after") return raw("collection");
  return survey.state.chunks.columns.has("collection_id") ? raw(collectionOf(survey)) : raw("''");
}

async function countRows(
  session: Session,
  chunks: Sql,
  options: ResolvedOptions,
  collection: Sql,
): Promise<readonly string[]> {
  const { columns } = options.layout;
  const { rows } = await session.execute({
    name: "adopt-count",
    sql: sql`
      select ${collection} as collection, count(*)::text as rows,
        sum(hashtextextended(jsonb_build_array(
          ${identifier(columns.id)}::text,
          coalesce(${identifier(columns.content)}, ''),
          coalesce(${identifier(columns.metadata)}::jsonb, '{}')
        )::text, 0))::text as checksum
      from ${chunks} group by 1 order by 1`,
  });
  return rows.map(
    (row) =>
      `${JSON.stringify(row["collection"])} has ${String(row["rows"])} rows, checksum ${String(row["checksum"])}`,
  );
}

async function sampleSearches(
  session: Session,
  chunks: Sql,
  survey: Survey,
  options: ResolvedOptions,
): Promise<readonly string[]> {
  const { columns } = options.layout;
  const embedding = identifier(columns.embedding);
  const id = identifier(columns.id);
  const operator = distanceOperator(survey.metric, survey.state.server.vector!.schema);
  const { rows } = await session.execute({
    name: "adopt-sample",
    sql: sql`
      with sample as materialized (
        select ${id}::text as id, ${embedding} as embedding from ${chunks}
        where ${embedding} is not null order by md5(${id}::text) limit ${SAMPLE_QUERIES}::int8
      )
      select sample.id, (
        select jsonb_agg(jsonb_build_array(hit.id, hit.distance) order by hit.distance, hit.id) from (
          select t.${id}::text as id, (t.${embedding} ${operator} sample.embedding)::float8 as distance
          from ${chunks} t where t.${embedding} is not null order by distance, id limit ${SAMPLE_K}::int8
        ) hit
      )::text as neighbours
      from sample order by sample.id`,
  });
  return rows.map((row) => `${String(row["id"])} finds ${String(row["neighbours"])}`);
}
