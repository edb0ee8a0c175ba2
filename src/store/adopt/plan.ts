import { quoteIdentifier, quoteLiteral } from "../../db/identifiers.js";
import {
  backfillTables,
  FIXED_COLUMNS,
  loadsTable,
  sourceTables,
  messagesTable,
  migrationNames,
  render,
  type Layout,
  type ModelVersion,
} from "../../schema/layout.js";
import {
  BACKFILLS_MIGRATIONS,
  CHUNKS_MIGRATIONS,
  COLLECTIONS_MIGRATIONS,
  LOADS_MIGRATIONS,
  SOURCES_MIGRATIONS,
  MESSAGES_MIGRATIONS,
  REGISTRY_SQL,
} from "../../schema/migrations.generated.js";
import type { RelationState } from "../../schema/inspect.js";
import { checkColumnsFree } from "../../schema/plan-promoted-keys.js";
import { addColumnClauses, recordColumnsSql } from "../../schema/promoted-keys.js";
import { embeddingType, planSchema, registerModel, registerRevision, type SchemaStep } from "../../schema/plan.js";
import { DEFAULT_TENANT } from "../options.js";
import { pendingComment } from "./pending-index.js";
import type { Survey } from "./survey.js";

/** What is read from the table by name while its SQL is written. */
interface Names {
  readonly chunks: string;
  readonly id: string;
  readonly content: string;
  readonly metadata: string;
  readonly embedding: string;
  readonly revisions: string;
  readonly collections?: string;
}

/**
 * The SQL that turns a table of the base class into ours, to be run in one transaction. The table is rewritten once;
 * rows, ids and embeddings stay. No effects.
 */
export function planAdoption(survey: Survey, layout: Layout, model: ModelVersion): SchemaStep[] {
  const { state } = survey;
  checkColumnsFree(layout.promotedKeys, state, layout);
  const names = migrationNames(state.schema, layout);
  const steps: SchemaStep[] = [];
  if (!state.registryExists) steps.push({ name: "registry", sql: render(REGISTRY_SQL, names) });
  if (state.collections !== undefined && state.collections.revision === undefined) {
    steps.push({ name: "collections", sql: collectionsSql(survey, layout, names) });
  }
  steps.push({ name: "chunks", sql: chunksSql(survey, layout, model, names as unknown as Names) });
  if (!state.loads.exists) {
    const register = registerRevision(names["revisions"]!, loadsTable(layout), LOADS_MIGRATIONS[0]!);
    steps.push({ name: "loads", sql: render(LOADS_MIGRATIONS[0]!.sql, names) + register });
  }
  if (!state.sources.exists) {
    const register = registerRevision(names["revisions"]!, sourceTables(layout)[0], SOURCES_MIGRATIONS[0]!);
    steps.push({ name: "sources", sql: render(SOURCES_MIGRATIONS[0]!.sql, names) + register });
  }
  if (!state.messages.exists) {
    const register = registerRevision(names["revisions"]!, messagesTable(layout), MESSAGES_MIGRATIONS[0]!);
    steps.push({ name: "messages", sql: render(MESSAGES_MIGRATIONS[0]!.sql, names) + register });
  }
  if (!state.backfills.exists) {
    const register = registerRevision(names["revisions"]!, backfillTables(layout)[0], BACKFILLS_MIGRATIONS[0]!);
    steps.push({ name: "backfills", sql: render(BACKFILLS_MIGRATIONS[0]!.sql, names) + register });
  }
  return steps;
}

/**
 * The SQL that turns tenancy on for the table once it is adopted and checked: from then on nobody sees all rows, the
 * owner included.
 */
export function planAdoptedTenancy(survey: Survey, layout: Layout, model: ModelVersion): SchemaStep[] {
  if (layout.tenancy === "off") return [];
  const { state } = survey;
  return planSchema(
    {
      ...state,
      registryExists: true,
      promotedKeys: layout.promotedKeys,
      chunks: adopted(state.chunks, Object.values(FIXED_COLUMNS)),
      loads: adopted(state.loads, []),
      sources: adopted(state.sources, []),
      messages: adopted(state.messages, []),
      backfills: adopted(state.backfills, []),
      collections: state.collections && adopted(state.collections, ["tenant_id"]),
    },
    layout,
    model,
    { enableTenancy: true },
  );
}

/** A table as it is found once it is adopted, as far as planning looks. */
function adopted(relation: RelationState, columns: readonly string[]): RelationState {
  return {
    ...relation,
    exists: true,
    revision: 1,
    columns: new Map([...relation.columns, ...columns.map((name) => [name, "text"] as const)]),
  };
}

/** Columns whose type changes or which go, and on which nothing else may therefore depend. */
export function alteredColumns(survey: Survey, layout: Layout): string[] {
  const { columns } = survey.state.chunks;
  const altered = [layout.columns.id];
  if (columns.get(layout.columns.content) !== "text") altered.push(layout.columns.content);
  if (columns.get(layout.columns.metadata) !== "jsonb") altered.push(layout.columns.metadata);
  if (!columns.get(layout.columns.embedding)!.endsWith(`(${survey.dimensions})`))
    altered.push(layout.columns.embedding);
  if (columns.has("collection_id")) altered.push("collection_id");
  return altered;
}

function chunksSql(survey: Survey, layout: Layout, model: ModelVersion, names: Names): string {
  const { chunks, id, content, metadata, revisions } = names;
  const schema = quoteIdentifier(survey.state.schema);
  const altered = alteredColumns(survey, layout);
  const hasCollections = altered.includes("collection_id");
  const pending = survey.vectorIndexes[0];
  const promoted = addColumnClauses(layout.columns.metadata, layout.promotedKeys);
  const types: Record<string, string> = {
    [layout.columns.id]: "text",
    [layout.columns.content]: "text",
    [layout.columns.metadata]: "jsonb",
    [layout.columns.embedding]: embeddingType(survey.state, layout, model),
  };
  return [
    ...survey.vectorIndexes.map((index) => `drop index ${schema}.${quoteIdentifier(index.name)};`),
    // Updates come before the key goes, without which a published table could not be updated.
    ...(survey.missing.content ? [`update ${chunks} set ${content} = '' where ${content} is null;`] : []),
    ...(survey.missing.metadata ? [`update ${chunks} set ${metadata} = '{}' where ${metadata} is null;`] : []),
    `alter table ${chunks} set (fillfactor = 90);`,
    ...(survey.primaryKey === undefined
      ? []
      : [`alter table ${chunks} drop constraint ${quoteIdentifier(survey.primaryKey)};`]),
    `alter table ${chunks}`,
    `  add column tenant_id text not null default ${quoteLiteral(DEFAULT_TENANT)},`,
    `  add column collection text,`,
    `  add column content_hash bytea,`,
    `  add column created_at timestamptz not null default now(),`,
    `  alter column ${id} drop default;`,
    `alter table ${chunks}`,
    ...Object.entries(types)
      .filter(([column]) => altered.includes(column))
      .map(([column, type]) => `${retype(column, type)},`),
    ...(survey.tenantKey === undefined
      ? []
      : [`  alter column tenant_id type text using ${metadata}::jsonb ->> ${quoteLiteral(survey.tenantKey)},`]),
    `  alter column collection type text using ${hasCollections ? collectionOf(survey) : "''"},`,
    `  alter column content_hash type bytea using sha256(convert_to(${content}, 'UTF8'))${promoted.map((clause) => `,\n  ${clause}`).join("")};`,
    `alter table ${chunks}`,
    `  alter column tenant_id drop default,`,
    `  alter column ${content} set not null,`,
    `  alter column ${metadata} set not null,`,
    `  alter column ${metadata} set default '{}',`,
    `  alter column collection set not null,`,
    `  alter column content_hash set not null,`,
    `  add check (tenant_id <> ''),`,
    `  add check (${id} <> ''),`,
    `  add check (jsonb_typeof(${metadata}) = 'object'),`,
    `  add primary key (tenant_id, collection, ${id});`,
    ...(hasCollections ? [`alter table ${chunks} drop column collection_id;`] : []),
    recordColumnsSql({ schema: survey.state.schema, table: layout.table }, layout.promotedKeys),
    ...(hasCollections && survey.tenantKey !== undefined ? [tenantCollectionsSql(chunks, names.collections!)] : []),
    ...(pending === undefined ? [] : [`comment on column ${chunks}.content_hash is ${pendingComment(pending)};`]),
    registerModel(survey.state, layout, model) + registerRevision(revisions, layout.table, CHUNKS_MIGRATIONS[0]!),
  ].join("\n");
}

/** Each tenant gets the collections that it has rows in, with their metadata. */
function tenantCollectionsSql(chunks: string, collections: string): string {
  return (
    `insert into ${collections} (tenant_id, name, cmetadata)\nselect distinct c.tenant_id, k.name, k.cmetadata\n` +
    `from ${chunks} c join ${collections} k on k.name = c.collection and k.tenant_id = ${quoteLiteral(DEFAULT_TENANT)}\n` +
    "on conflict (tenant_id, name) do nothing;"
  );
}

function retype(column: string, type: string): string {
  const name = quoteIdentifier(column);
  return `  alter column ${name} type ${type} using ${name}::${type}`;
}

/** The name of a row's collection as an expression; rows without one belong to the collection named ''. */
export function collectionOf(survey: Survey): string {
  const names = quoteLiteral(JSON.stringify(Object.fromEntries(survey.collections)));
  return `coalesce(${names}::jsonb ->> collection_id::text, '')`;
}

/** The key on uuid stays, since other tables of the base class may refer to it. */
function collectionsSql(survey: Survey, layout: Layout, names: Record<string, string>): string {
  const table = names["collections"]!;
  const register = registerRevision(names["revisions"]!, layout.collectionsTable!, COLLECTIONS_MIGRATIONS[0]!);
  if (!survey.state.collections!.exists) return render(COLLECTIONS_MIGRATIONS[0]!.sql, names) + register;
  return [
    // The default stays: tables that have not been adopted yet go on inserting collections without a tenant.
    `alter table ${table}`,
    `  add column tenant_id text not null default ${quoteLiteral(DEFAULT_TENANT)} check (tenant_id <> ''),`,
    `  alter column name type text,`,
    `  alter column name set not null,`,
    `  add unique (tenant_id, name);`,
    register,
  ].join("\n");
}
