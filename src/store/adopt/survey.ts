import sql, { empty, raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { identifier, qualified, quoteQualified } from "../../db/identifiers.js";
import { ConfigurationError, SchemaDriftError } from "../../errors.js";
import type { SchemaState } from "../../schema/inspect.js";
import type { Metric } from "../../schema/layout.js";
import type { ResolvedOptions } from "../options.js";
import { MAX_TENANT_BYTES } from "../tenant.js";
import { checkDependents } from "./dependents.js";
import { checkBaseTable } from "./recognize.js";
import { surveyIndexes, type VectorIndex } from "./survey-indexes.js";

/** What adopting a table of the base class has to know about it. */
export interface Survey {
  readonly state: SchemaState;
  readonly rows: number;
  readonly bytes: number;
  readonly dimensions: number;
  readonly metric: Metric;
  readonly vectorIndexes: readonly VectorIndex[];
  /** Name of the primary key's constraint. */
  readonly primaryKey: string | undefined;
  /** Names of the collections by their uuid; empty when the table has none. */
  readonly collections: ReadonlyMap<string, string>;
  /** Metadata key that holds each row's tenant, when rows are to be told apart by it. */
  readonly tenantKey: string | undefined;
  /** Whether rows have no content, and whether rows have no metadata. */
  readonly missing: { readonly content: boolean; readonly metadata: boolean };
}

/**
 * Reads what adopting needs, and refuses what cannot be adopted as it is. Reads the whole table once.
 *
 * @param metric set when the caller knows it; else that of the table's vector index, else cosine.
 * @throws SchemaDriftError when the table is not one that the base class made, or its rows cannot be carried over; the
 *   message names the cure.
 * @throws ConfigurationError when an option is missing.
 */
export async function surveyTable(
  session: Session,
  state: SchemaState,
  options: ResolvedOptions,
  metric: Metric | undefined,
  tenantKey: string | undefined,
): Promise<Survey> {
  const { layout } = options;
  checkBaseTable(state, layout);
  const facts = await surveyRows(session, options, state);
  const { indexes, primaryKey } = await surveyIndexes(session, layout.table, state.schema);
  const survey: Survey = {
    state,
    ...facts,
    metric: metric ?? indexes[0]?.metric ?? options.metric,
    vectorIndexes: indexes,
    primaryKey,
    tenantKey,
    collections: state.collections?.exists ? await surveyCollections(session, options, state) : new Map(),
  };
  await checkDependents(session, survey, layout);
  if (tenantKey !== undefined) await checkTenantKey(session, survey, options, tenantKey);
  return survey;
}

interface RowFacts {
  rows: string;
  bytes: string;
  dimensions: number[] | null;
  no_content: boolean | null;
  no_metadata: boolean | null;
  bad_metadata: string | null;
}

async function surveyRows(session: Session, options: ResolvedOptions, state: SchemaState) {
  const { layout } = options;
  const dims = raw(quoteQualified(state.server.vector!.schema, "vector_dims"));
  const id = identifier(layout.columns.id);
  const content = identifier(layout.columns.content);
  const metadata = identifier(layout.columns.metadata);
  const embedding = identifier(layout.columns.embedding);
  const { rows } = await session.execute({
    name: "adopt-survey",
    sql: sql`
      select count(*)::text as rows,
        pg_total_relation_size(${quoteQualified(state.schema, layout.table)}::regclass)::text as bytes,
        array_agg(distinct ${dims}(${embedding})) filter (where ${embedding} is not null) as dimensions,
        bool_or(${content} is null) as no_content,
        bool_or(${metadata} is null) as no_metadata,
        min(${id}::text) filter (where jsonb_typeof(${metadata}::jsonb) <> 'object') as bad_metadata
      from ${qualified(state.schema, layout.table)}`,
  });
  const row = rows[0] as unknown as RowFacts;
  const name = JSON.stringify(layout.table);
  if (row.bad_metadata !== null) {
    throw new SchemaDriftError(
      `The metadata of row ${row.bad_metadata} in ${name} is not a JSON object; make it one first.`,
    );
  }
  const found = row.dimensions ?? [];
  if (found.length > 1) {
    throw new SchemaDriftError(
      `The table ${name} holds vectors of ${found.join(" and ")} dimensions, so of several models. ` +
        "Move the rows of all but one model to a table of their own first.",
    );
  }
  const declared = /\((\d+)\)$/.exec(state.chunks.columns.get(layout.columns.embedding)!)?.[1];
  const dimensions = found[0] ?? (declared === undefined ? options.dimensions : Number(declared));
  if (dimensions === undefined) {
    throw new ConfigurationError(`The table ${name} has no vectors to count; set \`dimensions\` (--dimensions).`);
  }
  if (options.dimensions !== undefined && options.dimensions !== dimensions) {
    throw new ConfigurationError(
      `\`dimensions\` (--dimensions) is ${options.dimensions}, but the vectors of ${name} have ${dimensions}; leave it out.`,
    );
  }
  const missing = { content: row.no_content === true, metadata: row.no_metadata === true };
  return { rows: Number(row.rows), bytes: Number(row.bytes), dimensions, missing };
}

/** @throws SchemaDriftError when a row's metadata does not say its tenant. */
async function checkTenantKey(session: Session, survey: Survey, options: ResolvedOptions, key: string): Promise<void> {
  const { columns, table } = options.layout;
  const metadata = sql`${identifier(columns.metadata)}::jsonb`;
  const { rows } = await session.execute({
    name: "adopt-tenants",
    sql: sql`
      select count(*)::text as rows, min(${identifier(columns.id)}::text) as example
      from ${qualified(survey.state.schema, table)}
      where coalesce(jsonb_typeof(${metadata} -> ${key}::text) not in ('string', 'number'), true)
        or octet_length(${metadata} ->> ${key}::text) not between 1 and ${MAX_TENANT_BYTES}::int4`,
  });
  const { rows: count, example } = rows[0] as { rows: string; example: string | null };
  if (example === null) return;
  throw new SchemaDriftError(
    `${count} rows of ${JSON.stringify(table)} have no tenant in their metadata under ${JSON.stringify(key)}, or one that ` +
      `is neither text nor a number, or too long; row ${example} is one. Give them one, or delete them, first.`,
  );
}

async function surveyCollections(
  session: Session,
  options: ResolvedOptions,
  state: SchemaState,
): Promise<ReadonlyMap<string, string>> {
  const table = options.layout.collectionsTable!;
  const adopted = state.collections?.revision !== undefined;
  const { rows } = await session.execute({
    name: "adopt-collections",
    sql: sql`
      select uuid::text as uuid, name::text as name from ${qualified(state.schema, table)}
      ${adopted ? sql`where tenant_id = 'default'` : empty} order by name, uuid`,
  });
  const names = new Map<string, string>();
  const seen = new Set<string>();
  for (const { uuid, name } of rows as { uuid: string; name: string | null }[]) {
    if (name === null || name === "" || seen.has(name)) {
      throw new SchemaDriftError(
        `The collection ${uuid} in ${JSON.stringify(table)} has ` +
          `${name ? `the same name as another, ${JSON.stringify(name)}` : "no name"}; give it a name of its own first.`,
      );
    }
    seen.add(name);
    names.set(uuid, name);
  }
  return names;
}
