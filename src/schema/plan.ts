import { quoteIdentifier, quoteLiteral, quoteQualified } from "../db/identifiers.js";
import { ConfigurationError, SchemaDriftError, SchemaVersionError } from "../errors.js";
import { lexicalNames, lexicalTables } from "./lexical.js";
import {
  backfillTables,
  FIXED_COLUMNS,
  loadsTable,
  messagesTable,
  migrationNames,
  newestRevision,
  render,
  sourceTables,
  TENANTS_TABLE,
  type Layout,
  type ModelVersion,
} from "./layout.js";
import {
  BACKFILLS_MIGRATIONS,
  CHUNKS_MIGRATIONS,
  LEXICAL_MIGRATIONS,
  COLLECTIONS_MIGRATIONS,
  LOADS_MIGRATIONS,
  MESSAGES_MIGRATIONS,
  REGISTRY_SQL,
  SOURCES_MIGRATIONS,
  TENANTS_MIGRATIONS,
  type Migration,
} from "./migrations.generated.js";
import { planPromotedKeys, promotedSql } from "./plan-promoted-keys.js";
import { checkPartitions, chunksStorage, newPartitionsSql } from "./partitions.js";
import { fingerprintOf } from "./fingerprint.js";
import { grantSteps, planAppRole, planTenancy, rowSecuritySql } from "./tenancy.js";
import type { RelationState, SchemaState } from "./inspect.js";
import { vectorTriggerSql } from "./vector-trigger.js";

/** One transaction's worth of SQL on the way to the current schema. */
export interface SchemaStep {
  readonly name: string;
  readonly sql: string;
  /** What `init` has to be told to do it. */
  readonly flags?: string;
}

/** The first pgvector with halfvec; iterative scans need 0.8 and are left out below it. */
const MINIMUM_VECTOR_VERSION = [0, 7] as const;

export interface PlanOptions {
  /** Turns row-level security on for a table that exists without it; otherwise that is an error. */
  readonly enableTenancy?: boolean;
  /** Gives a table that is there a lexical index, whose rows then have to be indexed; otherwise that is an error. */
  readonly enableLexical?: boolean;
  /** Allows promoting keys of a table that has rows, which rewrites it; otherwise that is an error. */
  readonly rewrite?: boolean;
  /** Promoted keys whose columns are to be dropped. */
  readonly demote?: readonly string[];
}

/**
 * The steps that bring a store's schema up to date, in order; empty when it is current. No effects.
 *
 * @throws SchemaVersionError when a newer library made the schema and this one must not touch it.
 * @throws SchemaDriftError when a table of that name exists and the library did not make it.
 * @throws ConfigurationError when the table keeps tenants apart and the store does not, or the other way round; and when
 * it is partitioned and the store is configured otherwise, or the other way round; and when other metadata keys are
 * promoted than the table has columns for, and that is not to be changed.
 */
export function planSchema(
  state: SchemaState,
  layout: Layout,
  model: ModelVersion,
  options: PlanOptions = {},
): SchemaStep[] {
  checkServer(state);
  checkRelation(state.chunks, layout.table, CHUNKS_MIGRATIONS);
  checkChunksColumns(state, layout);
  checkPartitions(state, layout);
  const collections = state.collections;
  if (collections) checkRelation(collections, layout.collectionsTable!, COLLECTIONS_MIGRATIONS);
  checkRelation(state.loads, loadsTable(layout), LOADS_MIGRATIONS);
  const [sources, vectorCache] = sourceTables(layout);
  checkRelation(state.sources, sources, SOURCES_MIGRATIONS);
  checkRelation(state.messages, messagesTable(layout), MESSAGES_MIGRATIONS);
  const [ranges, setAside] = backfillTables(layout);
  checkRelation(state.backfills, ranges, BACKFILLS_MIGRATIONS);
  if (state.tenants.exists) checkRelation(state.tenants, TENANTS_TABLE, TENANTS_MIGRATIONS);

  const names: Record<string, string> = {
    ...migrationNames(state.schema, layout),
    embeddingType: embeddingType(state, layout, model),
    storage: chunksStorage(layout),
  };
  const steps: SchemaStep[] = [];
  if (!state.schemaExists) {
    steps.push({ name: "schema", sql: `create schema if not exists ${quoteIdentifier(state.schema)};\n` });
  }
  if (state.server.vector === undefined) steps.push(extensionStep(state, layout));
  steps.push(...planAppRole(state, layout));
  if (!state.registryExists) steps.push({ name: "registry", sql: render(REGISTRY_SQL, names) });
  for (const migration of layout.tenancy === "rls" ? pending(state.tenants, TENANTS_MIGRATIONS) : []) {
    steps.push(migrationStep("tenants", TENANTS_TABLE, migration, names));
  }
  const secured = (migration: Migration, relation: string): string =>
    migration.revision === 1 && layout.tenancy === "rls" ? rowSecuritySql(state.schema, layout, relation) : "";
  for (const migration of pending(state.chunks, CHUNKS_MIGRATIONS)) {
    const first = migration.revision === 1;
    const more = first ? registerModel(state, layout, model) + promotedSql(state, layout) : "";
    const partitions = first ? newPartitionsSql(state.schema, layout) : "";
    const sql = partitions + secured(migration, layout.table) + more;
    steps.push(migrationStep("chunks", layout.table, migration, names, sql));
  }
  const lexical = planLexical(state, layout, names, options.enableLexical ?? false);
  const created = steps.at(-1);
  if (!state.chunks.exists && lexical.length > 0) {
    // In one transaction with its table, so that no row can come before the index.
    steps[steps.length - 1] = { name: created!.name, sql: [created!, ...lexical].map(({ sql }) => sql).join("\n") };
  } else {
    steps.push(...lexical);
  }
  for (const migration of collections ? pending(collections, COLLECTIONS_MIGRATIONS) : []) {
    const table = layout.collectionsTable!;
    steps.push(migrationStep("collections", table, migration, names, secured(migration, table)));
  }
  for (const migration of pending(state.loads, LOADS_MIGRATIONS)) {
    const table = loadsTable(layout);
    steps.push(migrationStep("loads", table, migration, names, secured(migration, table)));
  }
  for (const migration of pending(state.sources, SOURCES_MIGRATIONS)) {
    const both = secured(migration, sources) + secured(migration, vectorCache);
    steps.push(migrationStep("sources", sources, migration, names, both));
  }
  for (const migration of pending(state.messages, MESSAGES_MIGRATIONS)) {
    const table = messagesTable(layout);
    steps.push(migrationStep("messages", table, migration, names, secured(migration, table)));
  }
  for (const migration of pending(state.backfills, BACKFILLS_MIGRATIONS)) {
    const both = secured(migration, ranges) + secured(migration, setAside);
    steps.push(migrationStep("backfills", ranges, migration, names, both));
  }
  steps.push(...planPromotedKeys(state, layout, options));
  steps.push(...planTenancy(state, layout, options.enableTenancy ?? false));
  steps.push(...grantSteps(state, layout));
  return steps;
}

/** The lexical index of a table that is to have one. */
function planLexical(state: SchemaState, layout: Layout, names: Record<string, string>, wanted: boolean): SchemaStep[] {
  const [relation, ...others] = lexicalTables(layout.table);
  if (state.lexical !== undefined) {
    checkRelation(state.lexical, relation, LEXICAL_MIGRATIONS);
    return [];
  }
  if (layout.lexical === undefined) return [];
  if (state.chunks.exists && !wanted) {
    throw new ConfigurationError(
      `The table ${JSON.stringify(layout.table)} has no lexical index. As the owner, add it, online, with: ` +
        `npx langchain-pgvector init --table ${layout.table} --lexical`,
    );
  }
  const all = lexicalNames(names, state.schema, layout, { ...layout.lexical, building: state.chunks.exists });
  const secured =
    layout.tenancy === "rls"
      ? [relation, ...others].map((name) => rowSecuritySql(state.schema, layout, name)).join("")
      : "";
  return LEXICAL_MIGRATIONS.map((migration) =>
    migrationStep("lexical", relation, migration, all, migration.revision === 1 ? secured : ""),
  );
}

/** SQL that records the first embedding model of a store, and keeps its vectors and their texts together. */
export function registerModel(state: SchemaState, layout: Layout, model: ModelVersion): string {
  const names = migrationNames(state.schema, layout);
  const values = [
    quoteLiteral(layout.table),
    String(model.version),
    quoteLiteral(model.column),
    optional(model.provider),
    optional(model.model),
    String(model.dimensions),
    String(model.dimensions),
    quoteLiteral(model.metric),
    quoteLiteral(model.storageType),
    quoteLiteral(model.quantization ?? "none"),
    quoteLiteral(fingerprintOf(model)),
    model.probe === undefined ? "null" : `decode('${Buffer.from(model.probe).toString("hex")}', 'hex')`,
    "'active'",
  ];
  const store = quoteLiteral(layout.table);
  return (
    `\ninsert into ${names["models"]} (store, version, column_name, provider, model, dimensions, full_dimensions, metric, ` +
    "storage_type, quantization, fingerprint, probe, state)\n" +
    `values (${values.join(", ")});\n` +
    `insert into ${names["epochs"]} (store, epoch) values (${store}, 1) on conflict (store) do nothing;\n` +
    vectorTriggerSql({
      schema: state.schema,
      table: layout.table,
      content: layout.columns.content,
      columns: [model.column],
      extensionSchema: state.server.vector?.schema ?? layout.extensionSchema ?? state.schema,
    })
  );
}

function optional(value: string | undefined): string {
  return value === undefined ? "null" : quoteLiteral(value);
}

/** SQL that records that a migration has been applied to a table. */
export function registerRevision(revisions: string, relation: string, migration: Migration): string {
  return (
    `\ninsert into ${revisions} (relation, revision, breaking)\n` +
    `values (${quoteLiteral(relation)}, ${migration.revision}, ${migration.breaking});\n`
  );
}

/** The type of the embedding column, such as `"public"."vector"(1536)`. */
export function embeddingType(state: SchemaState, layout: Layout, model: ModelVersion): string {
  const schema = state.server.vector?.schema ?? layout.extensionSchema;
  return `${quoteQualified(schema, model.storageType)}(${model.dimensions})`;
}

function migrationStep(
  folder: string,
  relation: string,
  migration: Migration,
  names: Record<string, string>,
  register = "",
): SchemaStep {
  return {
    name: `${folder}/${migration.name}`,
    sql: render(migration.sql, names) + register + registerRevision(names.revisions!, relation, migration),
  };
}

function extensionStep(state: SchemaState, layout: Layout): SchemaStep {
  if (layout.extensionSchema === undefined) {
    return { name: "extension", sql: "create extension if not exists vector;\n" };
  }
  const schema = quoteIdentifier(layout.extensionSchema);
  const create = state.extensionSchemaExists ? "" : `create schema if not exists ${schema};\n`;
  // Whoever uses a store needs the type and its operators; they hold no data.
  const grant = `grant usage on schema ${schema} to public;\n`;
  return { name: "extension", sql: `${create}create extension if not exists vector with schema ${schema};\n${grant}` };
}

function pending(relation: RelationState, migrations: readonly Migration[]): readonly Migration[] {
  return migrations.filter((migration) => migration.revision > (relation.revision ?? 0));
}

function checkServer(state: SchemaState): void {
  const version = state.server.vector?.version;
  if (version === undefined) return;
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [wantMajor, wantMinor] = MINIMUM_VECTOR_VERSION;
  if (major < wantMajor || (major === wantMajor && minor < wantMinor)) {
    throw new ConfigurationError(
      `pgvector ${version} is installed; ${MINIMUM_VECTOR_VERSION.join(".")} or later is needed. ` +
        "Upgrade the package, then run: alter extension vector update;",
    );
  }
}

function checkRelation(relation: RelationState, table: string, migrations: readonly Migration[]): void {
  if (!relation.exists) return;
  const name = JSON.stringify(table);
  if (relation.revision === undefined) {
    if (isBaseClassTable(relation)) {
      throw new SchemaDriftError(
        `The table ${name} was made by LangChain's PGVectorStore. Nothing was changed. ` +
          `Upgrade it in place with: npx langchain-pgvector adopt --table ${table} --plan`,
      );
    }
    throw new SchemaDriftError(
      `The table ${name} exists and langchain-pgvector did not make it ` +
        `(columns: ${[...relation.columns.keys()].join(", ")}). Choose another name, or drop the table.`,
    );
  }
  const known = newestRevision(migrations);
  if (relation.breakingRevision > known) {
    throw new SchemaVersionError(
      `The table ${name} is at schema revision ${relation.revision}, which needs a newer langchain-pgvector ` +
        `(this one knows ${known}). Upgrade the package.`,
    );
  }
}

/** A table of chunks or of collections as the LangChain base class creates it. */
export function isBaseClassTable(relation: RelationState): boolean {
  return !relation.columns.has(FIXED_COLUMNS.tenant) && [...relation.columns.values()].includes("uuid");
}

function checkChunksColumns(state: SchemaState, layout: Layout): void {
  if (!state.chunks.exists) return;
  // Once the model has been changed, its first column may be gone.
  const { embedding, ...others } = layout.columns;
  const wanted = state.models.some(({ version }) => version > 1) ? others : { ...others, embedding };
  const missing = Object.values(wanted).filter((name) => !state.chunks.columns.has(name));
  if (missing.length > 0) {
    throw new SchemaDriftError(
      `The table ${JSON.stringify(layout.table)} has no column ${missing.map((name) => JSON.stringify(name)).join(", ")} ` +
        `(it has ${[...state.chunks.columns.keys()].join(", ")}). Set \`columns\` to the names it was created with.`,
    );
  }
}
