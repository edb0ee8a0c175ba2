import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import sql, { raw, type Sql } from "sql-template-tag";
import type { Database } from "../db/database.js";
import { identifier, qualified, quoteIdentifier } from "../db/identifiers.js";
import type { Settings } from "../db/settings.js";
import { tenantSettings } from "../db/tenant-scope.js";
import { identityOf } from "../embeddings/identity.js";
import { DimensionMismatchError, SchemaVersionError, TenantIsolationError } from "../errors.js";
import { ensureSchema } from "../schema/ensure.js";
import type { SchemaState, ServerInfo } from "../schema/inspect.js";
import { FIXED_COLUMNS, type Layout, type Metric, type ModelVersion, type RegisteredModel } from "../schema/layout.js";
import { modelsJson, toStoredModels } from "../schema/stored-models.js";
import type { PromotedColumns } from "./filter/index.js";
import type { ResolvedOptions } from "./options.js";
import { LexicalKeeper } from "./lexical/keeper.js";
import { openLexical, type OpenLexical } from "./lexical/open.js";
import { SearchMemory } from "./search-memory.js";
import { checkInline, checkStorage, defaultStorageType } from "./storage.js";
import { EmbedderSet } from "./versions/embedder-set.js";
import { fence } from "./versions/fence.js";
import { encodeProbe, probeModel } from "./versions/probe.js";
import { viewModels, type StoreModels } from "./versions/store-models.js";

/** A store whose schema is known: everything that building a statement needs. */
export interface OpenStore {
  readonly database: Database;
  readonly options: ResolvedOptions;
  readonly server: ServerInfo & { vector: NonNullable<ServerInfo["vector"]> };
  /** Whether pgvector goes on scanning an index when a filter has removed too many rows. */
  readonly iterativeScan: boolean;
  /** Whether the table is partitioned by tenant. */
  readonly partitioned: boolean;
  /** The schema that the table was found in or made in. */
  readonly schema: string;
  /** The model version that this call reads. */
  readonly model: RegisteredModel;
  /** All of them, as this process sees them. */
  readonly models: StoreModels;
  readonly embedders: EmbedderSet;
  readonly table: Sql;
  readonly columns: {
    readonly id: Sql;
    readonly content: Sql;
    readonly metadata: Sql;
    readonly embedding: Sql;
    readonly promoted: PromotedColumns;
  };
  /** The role that calls switch to, because row-level security does not bind the connection's own. */
  readonly scopeRole: string | undefined;
  /** The lexical index, when the store has one. */
  readonly lexical: OpenLexical | undefined;
  readonly keeper: LexicalKeeper;
  /** What is remembered while a store is open. */
  readonly memory: SearchMemory;
}

/** An open store for one call: the tenant it is for, and the settings that put a transaction into its scope. */
export interface ScopedStore extends OpenStore {
  readonly tenant: string;
  readonly settings: Settings;
}

/** Binds an open store to a tenant. */
export function scopeTo(store: OpenStore, tenant: string): ScopedStore {
  const settings = store.options.layout.tenancy === "rls" ? tenantSettings(tenant, store.scopeRole) : {};
  return { ...store, tenant, settings };
}

/**
 * Ensures the schema and, unless it is opened without an embedder, checks that the embedder belongs to the
 * vectors that are there.
 *
 * @throws DimensionMismatchError, UnknownModelError when the store was filled by another model.
 * @throws SchemaVersionError when `mustExist` and there is no table.
 */
export async function openStore(
  database: Database,
  options: ResolvedOptions,
  embeddings: EmbeddingsInterface | undefined,
  open: { mustExist?: boolean; enableTenancy?: boolean } = {},
): Promise<OpenStore> {
  const { mustExist = false, enableTenancy = false } = open;
  const { layout } = options;
  const state = await ensureSchema(database, layout, () => newModel(options, embeddings, mustExist), {
    readOnly: options.skipInitializationCheck || mustExist,
    enableTenancy,
    onStep: (name) => options.logger.info(`langchain-pgvector: applied ${name}`),
  });
  const model = state.activeModel;
  const { vector } = state.server;
  if (model === undefined || vector === undefined) {
    throw new SchemaVersionError(
      `The table ${JSON.stringify(layout.table)} has no ${model ? "pgvector extension" : "recorded embedding model"}. ` +
        "Restore the missing part from a backup, or re-create the table.",
    );
  }
  if (options.dimensions !== undefined && !state.models.some((known) => isLength(known, options.dimensions!))) {
    checkDimensions(model, options.dimensions, options);
  }
  const { embeddingModel, embedders: further, logger } = options;
  const embedders = new EmbedderSet(embeddings, embeddingModel, further, logger, database.activity);
  const models = await viewModels(state, embedders, layout.table);
  const store = {
    database,
    options,
    server: { ...state.server, vector },
    iterativeScan: hasIterativeScan(vector.version),
    partitioned: state.chunks.partitioned,
    schema: state.schema,
    model,
    models,
    embedders,
    table: qualified(state.schema, layout.table),
    columns: {
      id: identifier(layout.columns.id),
      content: identifier(layout.columns.content),
      metadata: identifier(layout.columns.metadata),
      embedding: identifier(model.column),
      promoted: new Map(state.promotedKeys.map(({ key, type, column }) => [key, { type, column: identifier(column) }])),
    },
    scopeRole: isolationRole(state, layout),
    lexical: openLexical(state, layout),
    keeper: new LexicalKeeper(),
    memory: new SearchMemory(),
  };
  return readingVersion(store, models.reading);
}

/** From 0.8 on. */
function hasIterativeScan(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 0 || minor >= 8;
}

/** A store that reads another of its model versions. */
export function readingVersion<S extends OpenStore>(store: S, model: RegisteredModel): S {
  const columns = { ...store.columns, embedding: identifier(model.column) };
  return { ...store, model, columns, options: { ...store.options, metric: metricOf(model, store.options) } };
}

/** The store in the present epoch of its models. One statement. @throws as {@link openStore}, when there is no embedder. */
export async function refreshModels(store: OpenStore): Promise<OpenStore> {
  const { table } = store.options.layout;
  const { rows } = await store.database.execute({
    name: "models",
    sql: sql`select ${modelsJson(store.schema, table)} as models`,
  });
  const models = await viewModels(toStoredModels(rows[0]!["models"]), store.embedders, table);
  store.memory.forgetIndexes();
  return readingVersion({ ...store, models }, models.reading);
}

function isLength({ dimensions, fullDimensions }: RegisteredModel, length: number): boolean {
  return length === dimensions || length === fullDimensions;
}

/** The metric of searches: the one asked for, else the one that the table was made for. */
function metricOf(model: RegisteredModel, options: ResolvedOptions): Metric {
  // What was asked for is about the store as it was made; later versions have the metric that they were added with.
  if (!options.metricGiven || model.version > 1) return model.metric;
  if (options.metric !== model.metric) {
    options.logger.warn(
      `langchain-pgvector: the table ${JSON.stringify(options.layout.table)} was made for ${model.metric} distance, this store ` +
        `searches it by ${options.metric}; an index built for the first serves none of these searches.`,
    );
  }
  return options.metric;
}

/**
 * The role that calls have to switch to, if any.
 *
 * @throws TenantIsolationError when row-level security would not bind any role that the connection can take.
 */
function isolationRole(state: SchemaState, layout: Layout): string | undefined {
  if (layout.tenancy === "off" || !state.role.bypasses) return undefined;
  const { name, appRoleBypasses, canBecomeAppRole } = state.role;
  const appRole = layout.appRole!;
  if (appRoleBypasses) {
    throw new TenantIsolationError(
      `The app role ${JSON.stringify(appRole)} is superuser or BYPASSRLS, so no policy binds it. ` +
        `Run: alter role ${quoteIdentifier(appRole)} nosuperuser nobypassrls;`,
    );
  }
  if (!canBecomeAppRole) {
    throw new TenantIsolationError(
      `The connection's role ${JSON.stringify(name)} is superuser or BYPASSRLS, so no policy binds it, and it may not switch ` +
        `to ${JSON.stringify(appRole)}. Connect as another role, or run: grant ${quoteIdentifier(appRole)} to ${quoteIdentifier(name)};`,
    );
  }
  return appRole;
}

/**
 * The predicate that keeps a statement within the call's tenant, collection and epoch of the models. With tenancy the policy says the same
 * about the tenant; the literal lets the planner see it.
 */
export function scope(store: ScopedStore): Sql {
  return sql`${raw(FIXED_COLUMNS.tenant)} = ${store.tenant}::text and ${raw(FIXED_COLUMNS.collection)} = ${store.options.collection}::text and ${fence(store)}`;
}

/** The model version that a new table would start with; probes the embedder when `dimensions` is not set. */
export async function newModel(
  options: ResolvedOptions,
  embeddings: EmbeddingsInterface | undefined,
  mustExist = false,
): Promise<ModelVersion> {
  if (mustExist || embeddings === undefined) {
    throw new SchemaVersionError(
      `The table ${JSON.stringify(options.layout.table)} does not exist. ` +
        "Create it with PostgresVectorStore.initialize(...) or: npx langchain-pgvector init",
    );
  }
  const identity = identityOf(embeddings);
  const probe = options.dimensions === undefined ? await probeModel(embeddings) : undefined;
  const dimensions = options.dimensions ?? probe!.length;
  const storageType = options.storageType ?? defaultStorageType(dimensions);
  checkStorage({ storageType, dimensions });
  if (options.layout.inlineVectors) checkInline({ storageType, dimensions });
  return {
    version: 1,
    column: options.layout.columns.embedding,
    provider: identity.provider,
    model: options.embeddingModel ?? identity.model,
    dimensions,
    metric: options.metric,
    storageType,
    quantization: options.quantization ?? (dimensions > 4_000 && storageType !== "sparsevec" ? "binary" : "none"),
    probe: probe && encodeProbe(probe),
  };
}

/** @throws DimensionMismatchError when the table holds vectors of another length. */
export function checkDimensions(model: ModelVersion, dimensions: number, { layout }: ResolvedOptions): void {
  if (dimensions === model.dimensions) return;
  throw new DimensionMismatchError(
    `The table ${JSON.stringify(layout.table)} holds vectors of ${model.dimensions} dimensions, the option says ` +
      `${dimensions}. Remove \`dimensions\`, or use another table for the other model.`,
    model.dimensions,
    dimensions,
  );
}
