import { quoteIdentifier, quoteLiteral } from "../../db/identifiers.js";
import { migrationNames, render, type Layout, type ModelVersion } from "../../schema/layout.js";
import { CHUNKS_MIGRATIONS, COLLECTIONS_MIGRATIONS, REGISTRY_SQL } from "../../schema/migrations.generated.js";
import { embeddingType, registerModel, registerRevision, type SchemaStep } from "../../schema/plan.js";
import { DEFAULT_TENANT } from "../open.js";
import type { Survey } from "./survey.js";

/** Prefix of the table comment that remembers an index still to be built, should the process end in between. */
export const PENDING_INDEX = "langchain-pgvector: build the HNSW index again: ";

/**
 * The SQL that turns a table of the base class into ours, to be run in one transaction. The table is rewritten once;
 * rows, ids and embeddings stay. No effects.
 */
export function planAdoption(survey: Survey, layout: Layout, model: ModelVersion): SchemaStep[] {
  const { state } = survey;
  const names = migrationNames(state.schema, layout);
  const steps: SchemaStep[] = [];
  if (!state.registryExists) steps.push({ name: "registry", sql: render(REGISTRY_SQL, names) });
  if (state.collections !== undefined && state.collections.revision === undefined) {
    steps.push({ name: "collections", sql: collectionsSql(survey, layout, names) });
  }
  steps.push({ name: "chunks", sql: chunksSql(survey, layout, model, names) });
  return steps;
}

function chunksSql(survey: Survey, layout: Layout, model: ModelVersion, names: Record<string, string>): string {
  const { chunks, id, content, metadata, embedding, revisions, models } = names as Record<string, string> & {
    [name in "chunks" | "id" | "content" | "metadata" | "embedding" | "revisions" | "models"]: string;
  };
  const schema = quoteIdentifier(survey.state.schema);
  const hasCollections = survey.state.chunks.columns.has("collection_id");
  const collection = hasCollections
    ? `coalesce(${quoteLiteral(JSON.stringify(Object.fromEntries(survey.collections)))}::jsonb ->> collection_id::text, '')`
    : "''";
  const text = `coalesce(${content}, '')`;
  const pending = survey.vectorIndexes[0];
  return [
    ...survey.vectorIndexes.map((index) => `drop index ${schema}.${quoteIdentifier(index.name)};`),
    ...(pending === undefined ? [] : [`comment on table ${chunks} is ${quoteLiteral(pendingComment(pending))};`]),
    `alter table ${chunks} set (fillfactor = 90);`,
    ...(survey.primaryKey === undefined
      ? []
      : [`alter table ${chunks} drop constraint ${quoteIdentifier(survey.primaryKey)};`]),
    `alter table ${chunks}`,
    `  add column tenant_id text not null default ${quoteLiteral(DEFAULT_TENANT)},`,
    `  add column collection text,`,
    `  add column content_hash bytea,`,
    `  add column created_at timestamptz not null default now();`,
    `alter table ${chunks}`,
    `  alter column tenant_id drop default,`,
    `  alter column ${id} drop default;`,
    `alter table ${chunks}`,
    `  alter column ${id} type text using ${id}::text,`,
    `  alter column ${content} type text using ${text},`,
    `  alter column ${metadata} type jsonb using coalesce(${metadata}::jsonb, '{}'),`,
    `  alter column collection type text using ${collection},`,
    `  alter column content_hash type bytea using sha256(convert_to(${text}, 'UTF8')),`,
    `  alter column ${embedding} type ${embeddingType(survey.state, layout, model)};`,
    `alter table ${chunks}`,
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
    registerModel(models, layout, model) + registerRevision(revisions, layout.table, CHUNKS_MIGRATIONS[0]!),
  ].join("\n");
}

/** The key on uuid stays, since other tables of the base class may refer to it. */
function collectionsSql(survey: Survey, layout: Layout, names: Record<string, string>): string {
  const table = names["collections"]!;
  const register = registerRevision(names["revisions"]!, layout.collectionsTable!, COLLECTIONS_MIGRATIONS[0]!);
  if (!survey.state.collections!.exists) return render(COLLECTIONS_MIGRATIONS[0]!.sql, names) + register;
  return (
    `alter table ${table}\n  add column tenant_id text not null default ${quoteLiteral(DEFAULT_TENANT)} check (tenant_id <> ''),\n` +
    `  alter column name type text,\n  alter column name set not null,\n  add unique (tenant_id, name);\n` +
    // Tables that have not been adopted yet go on inserting collections without a tenant.
    register
  );
}

export function pendingComment(index: { m: number | undefined; efConstruction: number | undefined }): string {
  const { m, efConstruction } = index;
  return PENDING_INDEX + JSON.stringify({ ...(m && { m }), ...(efConstruction && { efConstruction }) });
}
