import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import type pg from "pg";
import type { ReadRoute } from "../db/database.js";
import { openPool } from "../db/open-pool.js";
import type { Pool } from "../db/pool.js";
import { ConfigurationError } from "../errors.js";
import { parseFilter, type Filter, type FilterNode } from "./filter/index.js";
import type { LexicalSettings } from "../schema/lexical.js";
import { checkLayout, type Layout, type Metric, type Quantization, type StorageType } from "../schema/layout.js";
import { parsePromotedKeys, type PromotedType } from "../schema/promoted-keys.js";
import type { PGVectorStoreArgs } from "./base-class.js";
import { metricOfCollection } from "./collection-metric.js";
import { checkCipher, type ContentCipher } from "./content-cipher.js";
import { SILENT, type Logger } from "./logger.js";
import { checkFusion, checkWeights, DEFAULT_WEIGHTS, type Fusion, type FusionWeights } from "./fusion/fusion.js";
import { checkLexical, type LexicalOptions } from "./lexical/options.js";
import { checkMetric } from "./metric.js";
import type { ReplicaArgs } from "./resolve-replicas.js";
import { checkInline, checkStorage, defaultStorageType, maxStoredDimensions, STORAGE_TYPES } from "./storage.js";
import { tenantResolver, type TenantId } from "./tenant.js";

/** The tenant of every row while tenancy is off, so that turning it on later moves no data. */
export const DEFAULT_TENANT = "default";
export const DEFAULT_TABLE = "langchain_chunks";
export const DEFAULT_COLLECTION = "langchain";
export const DEFAULT_APP_ROLE = "langchain_pgvector_app";

/** It is part of the primary key, whose entries have room for 2,704 bytes, most of them for the id. */
const MAX_COLLECTION_BYTES = 500;

/** What text-in methods search with; the same words in config, retriever and CLI. */
export type SearchType = "similarity" | "lexical" | "hybrid";

/** What OpenTelemetry is told of the calls of a store, where an SDK is registered. Never texts, vectors or metadata. */
export interface TelemetryOptions {
  /** Whether spans carry the id of the call's tenant. Metrics never do. @defaultValue false */
  tenant?: boolean;
}

/** Options of {@link PostgresVectorStore}: those of the base class, with the same meaning, and ours. */
export interface PostgresVectorStoreArgs extends ReplicaArgs, Omit<PGVectorStoreArgs, "filter" | "tableName" | "pool"> {
  /** Connection string of a pool that the store makes and ends. */
  connectionString?: string;
  /** A `pg.Pool`, or what `openEmbeddedPostgres()` returns. Whoever made it ends it. */
  pool?: pg.Pool | Pool;
  /** @defaultValue `"langchain_chunks"` */
  tableName?: string;
  /** Applied to every search and every delete by filter, together with the call's own filter. */
  filter?: Filter;
  /** Dimensions of the embedding column, up to 16,000, or 1,000,000,000 of sparse vectors. Probed from the embedder when the table has to be created without it. */
  dimensions?: number;
  /** Name of the embedding model, recorded with the store. Taken from the embedder when it says. */
  embeddingModel?: string;
  /**
   * Further embedders by the fingerprint of their model version, as `models list` shows it, so that a process can write,
   * and search by, a model that the store changes to or from. Each must be the model of its version.
   */
  embedders?: Readonly<Record<string, EmbeddingsInterface>>;
  /**
   * How vectors are stored: `"vector"` is float32, `"halfvec"` float16 at half the size, `"sparsevec"` float32 of the
   * values that are not zero, for models such as SPLADE.
   * @defaultValue `"vector"` up to 2,000 dimensions, which an HNSW index can cover, `"halfvec"` up to 4,000
   */
  storageType?: StorageType;
  /**
   * How a table that has to be created finds vectors: `"binary"` indexes their signs alone, a 32nd of their size, and
   * compares the best of those exactly, in the same statement.
   * @defaultValue `"none"`; `"binary"` beyond 4,000 dimensions, which no other index can cover
   */
  quantization?: Quantization;
  /**
   * Whether a table that has to be created keeps vectors in the row, where PostgreSQL moves those of more than 2 kB out of
   * line: exact searches take a third of the time and others less, while a change of the model and filters on keys without
   * an index take several times as long. For rows of up to a page of 8 kB.
   * @defaultValue false
   */
  inlineVectors?: boolean;
  /**
   * `"rls"`: the database keeps tenants apart, and every call names one.
   * @defaultValue `"off"`
   */
  tenancy?: "off" | "rls";
  /**
   * `"by-tenant"`: a new table is partitioned, with one partition for all tenants from which `tenants.isolate` moves large
   * ones into their own. Needs tenancy: "rls". When the table is there, it has to be of the kind that is given.
   * @defaultValue the kind of the table that is there, `"none"` for a new one
   */
  partitions?: "none" | "by-tenant";
  /** The tenant of this store's calls, or a function that says it for each call. See also `forTenant`. */
  tenantId?: TenantId;
  /**
   * The role that applications work as. It gets rights on the tables when they are made, and a connection that
   * row-level security does not bind switches to it for each call.
   * @defaultValue `"langchain_pgvector_app"` with tenancy, none without
   */
  appRole?: string;
  /**
   * Metadata keys, dotted paths included, that get a typed column and an index beside the JSON, such as
   * `{ year: "number", "source.kind": "text", done: "boolean" }`. Filters mean the same and find their rows by the index.
   * Taken from the table when it is there; a table with rows gets further keys by `langchain-pgvector init --promote`.
   */
  promotedKeys?: Readonly<Record<string, PromotedType>>;
  /**
   * Encrypts content before it is stored and decrypts what is read. Ids, metadata and vectors are not encrypted, and
   * `whereDocument` is refused. For a store that is encrypted from its first row on.
   */
  contentCipher?: ContentCipher;
  /**
   * What an add of an id that is there does to its metadata: `"replace"`, or `"merge"`, in which keys that are not given
   * stay and keys given as null go, as in Chroma.
   * @defaultValue `"replace"`
   */
  metadataOnUpsert?: "replace" | "merge";
  /**
   * What text-in methods search by: the vectors, the words (BM25), or both. Anything but `"similarity"` needs a lexical
   * index, which a table that has to be created then gets.
   * @defaultValue `"similarity"`
   */
  searchType?: SearchType;
  /** The lexical index of a table that has to be created; a table that is there keeps the one that it has. */
  lexical?: boolean | LexicalOptions;
  /** How hybrid searches combine the two rankings. @defaultValue `"relativeScore"` */
  fusion?: Fusion;
  /** What each ranking counts for in hybrid searches. @defaultValue see `FusionWeights` */
  weights?: FusionWeights;
  /**
   * Candidates that an HNSW scan keeps while it searches, 1 to 1,000.
   * @defaultValue what `createHnswIndex` measured to be enough for a recall of 0.99, else 100
   */
  efSearch?: number;
  /** Lists that an IVFFlat scan visits. @defaultValue the server's */
  probes?: number;
  /** Upper bound on the server's time for one search, in milliseconds. */
  timeoutMs?: number;
  /** What spans say beside the operation, the table, numbers and settings. @defaultValue nothing */
  telemetry?: TelemetryOptions;
  /** @defaultValue silent */
  logger?: Logger;
}

/** The options of a store, checked, complete and frozen. */
export interface ResolvedOptions {
  readonly layout: Layout;
  /** Says the tenant of a call, or throws. */
  readonly tenant: () => string;
  readonly collection: string;
  readonly collectionMetadata: Record<string, unknown> | null;
  readonly metric: Metric;
  /** Whether the metric was asked for; otherwise that of the collection or of the store's model takes its place. */
  readonly metricGiven: boolean;
  readonly storageType: StorageType | undefined;
  readonly quantization: Quantization | undefined;
  readonly dimensions: number | undefined;
  readonly embeddingModel: string | undefined;
  readonly embedders: Readonly<Record<string, EmbeddingsInterface>>;
  readonly filter: FilterNode | undefined;
  readonly metadataOnUpsert: "replace" | "merge";
  readonly chunkSize: number;
  readonly scoreNormalization: "distance" | "similarity";
  readonly skipInitializationCheck: boolean;
  readonly efSearch: number | undefined;
  readonly probes: number | undefined;
  readonly timeoutMs: number | undefined;
  /** Which replicas may answer a search that does not say. */
  readonly replica: ReadRoute;
  readonly contentCipher: ContentCipher | undefined;
  readonly searchType: SearchType;
  readonly fusion: Fusion;
  readonly weights: FusionWeights;
  readonly telemetry: Required<TelemetryOptions>;
  readonly logger: Logger;
}

/** @throws ConfigurationError naming the option, its value and what to write instead. No I/O. */
export function resolveOptions(args: PostgresVectorStoreArgs): ResolvedOptions {
  const tenancy = oneOf("tenancy", args.tenancy, ["off", "rls"]) ?? "off";
  if (tenancy === "off" && args.tenantId !== undefined) {
    throw new ConfigurationError('`tenantId` needs tenancy: "rls"; without it, nothing keeps tenants apart.');
  }
  const partitions = oneOf("partitions", args.partitions, ["none", "by-tenant"]);
  if (tenancy === "off" && partitions === "by-tenant") {
    throw new ConfigurationError(
      'partitions: "by-tenant" needs tenancy: "rls"; without it, all rows are of one tenant.',
    );
  }
  const layout: Layout = {
    schema: args.schemaName ?? undefined,
    table: args.tableName ?? DEFAULT_TABLE,
    collectionsTable:
      args.collectionTableName ??
      (args.collectionName === undefined ? undefined : `${args.tableName ?? DEFAULT_TABLE}_collections`),
    tenancy,
    partitions,
    inlineVectors: boolean("inlineVectors", args.inlineVectors) ?? false,
    appRole: args.appRole ?? (tenancy === "rls" ? DEFAULT_APP_ROLE : undefined),
    lexical: lexicalSettings(args),
    extensionSchema: args.extensionSchemaName ?? undefined,
    columns: {
      id: args.columns?.idColumnName ?? "id",
      content: args.columns?.contentColumnName ?? "text",
      metadata: args.columns?.metadataColumnName ?? "metadata",
      embedding: args.columns?.vectorColumnName ?? "embedding",
    },
    promotedKeys: parsePromotedKeys(args.promotedKeys),
  };
  checkLayout(layout);
  return Object.freeze({
    layout: Object.freeze(layout),
    tenant: tenancy === "rls" ? tenantResolver(args.tenantId) : () => DEFAULT_TENANT,
    collection: layout.collectionsTable === undefined ? "" : checkCollection(args.collectionName ?? DEFAULT_COLLECTION),
    collectionMetadata: args.collectionMetadata ?? null,
    metric: checkMetric(args.distanceStrategy ?? metricOfCollection(args.collectionMetadata) ?? "cosine"),
    metricGiven: args.distanceStrategy !== undefined,
    ...storageOptions(args),
    embeddingModel: args.embeddingModel,
    embedders: checkEmbedders(args.embedders),
    filter: args.filter === undefined ? undefined : parseFilter(args.filter),
    metadataOnUpsert: oneOf("metadataOnUpsert", args.metadataOnUpsert, ["replace", "merge"]) ?? "replace",
    chunkSize: integer("chunkSize", args.chunkSize, 1, 100_000) ?? 500,
    scoreNormalization: oneOf("scoreNormalization", args.scoreNormalization, ["distance", "similarity"]) ?? "distance",
    skipInitializationCheck: args.skipInitializationCheck ?? false,
    efSearch: integer("efSearch", args.efSearch, 1, 1_000),
    probes: integer("probes", args.probes, 1, 32_768),
    timeoutMs: integer("timeoutMs", args.timeoutMs, 1, 2_147_483_647),
    replica: args.readYourWrites ? "caught-up" : "any",
    contentCipher: checkCipher(args.contentCipher),
    searchType: checkSearchType(args.searchType) ?? "similarity",
    fusion: checkFusion(args.fusion) ?? "relativeScore",
    weights: checkWeights(args.weights) ?? DEFAULT_WEIGHTS,
    telemetry: checkTelemetry(args.telemetry, tenancy),
    logger: args.logger ?? SILENT,
  });
}

/** Which replicas may answer a call that says whether it has to see what was written before, or leaves it to the store. */
export function readRoute(store: Pick<ResolvedOptions, "replica">, readYourWrites: boolean | undefined): ReadRoute {
  return readYourWrites === undefined ? store.replica : readYourWrites ? "caught-up" : "any";
}

/** The pool of a store, and whether the store made it and therefore ends it. */
export function resolvePool(args: PostgresVectorStoreArgs): { pool: Pool; owned: boolean } {
  const { pool, connectionString, postgresConnectionOptions } = args;
  if (pool !== undefined) {
    if (typeof pool.connect !== "function") {
      throw new ConfigurationError("`pool` must be a pg.Pool or what openEmbeddedPostgres() returns.");
    }
    return { pool: pool, owned: false };
  }
  if (connectionString === undefined && postgresConnectionOptions === undefined) {
    throw new ConfigurationError(
      "Say where the database is: set `connectionString`, `pool` or `postgresConnectionOptions`.",
    );
  }
  const made = openPool({ ...postgresConnectionOptions, ...(connectionString !== undefined && { connectionString }) });
  return { pool: made, owned: true };
}

/** @throws ConfigurationError unless the value is a whole number in the range. */
export function integer(name: string, value: number | undefined, min: number, max: number): number | undefined {
  if (value === undefined) return undefined;
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new ConfigurationError(
      `${name} must be a whole number from ${min.toLocaleString("en")} to ${max.toLocaleString("en")}, got ${String(value)}.`,
    );
  }
  return value;
}

export function oneOf<const T extends string>(name: string, value: T | undefined, known: readonly T[]): T | undefined {
  if (value === undefined || known.includes(value)) return value;
  throw new ConfigurationError(
    `${name} ${JSON.stringify(value)} is unknown; use ${known.map((k) => `"${k}"`).join(" or ")}.`,
  );
}

function boolean(name: string, value: boolean | undefined): boolean | undefined {
  if (value === undefined || typeof value === "boolean") return value;
  throw new ConfigurationError(`${name} must be true or false, got ${JSON.stringify(value)}.`);
}

/** @throws ConfigurationError unless it is undefined or one of ours. */
export function checkSearchType(value: SearchType | undefined, more: readonly string[] = []): SearchType | undefined {
  return oneOf<string>("searchType", value, ["similarity", "lexical", "hybrid", ...more]) as SearchType | undefined;
}

function storageOptions(
  args: PostgresVectorStoreArgs,
): Pick<ResolvedOptions, "storageType" | "quantization" | "dimensions"> {
  const storageType = oneOf("storageType", args.storageType, STORAGE_TYPES);
  const quantization = oneOf("quantization", args.quantization, ["none", "binary"]);
  const dimensions = integer("dimensions", args.dimensions, 1, maxStoredDimensions("sparsevec"));
  checkStorage({ storageType: storageType ?? "vector", quantization, ...(dimensions !== undefined && { dimensions }) });
  if (args.inlineVectors === true && dimensions !== undefined) {
    checkInline({ storageType: storageType ?? defaultStorageType(dimensions), dimensions });
  }
  return { storageType, quantization, dimensions };
}

function checkTelemetry(telemetry: TelemetryOptions = {}, tenancy: "off" | "rls"): Required<TelemetryOptions> {
  const tenant = boolean("telemetry.tenant", telemetry.tenant) ?? false;
  if (tenant && tenancy === "off") {
    throw new ConfigurationError('telemetry.tenant needs tenancy: "rls"; without it, there are no tenants to name.');
  }
  return { tenant };
}

function lexicalSettings(args: PostgresVectorStoreArgs): LexicalSettings | undefined {
  const { lexical = (args.searchType ?? "similarity") !== "similarity", contentCipher } = args;
  if (lexical === false) return undefined;
  if (contentCipher !== undefined) {
    throw new ConfigurationError(
      "A lexical index would hold the words of the content in the clear, which `contentCipher` encrypts. " +
        'Leave `lexical` out and use searchType: "similarity".',
    );
  }
  return checkLexical(lexical === true ? {} : lexical);
}

function checkEmbedders(
  embedders: PostgresVectorStoreArgs["embedders"],
): Readonly<Record<string, EmbeddingsInterface>> {
  if (embedders === undefined) return {};
  if (typeof embedders !== "object" || embedders === null || Array.isArray(embedders)) {
    throw new ConfigurationError(
      "embedders must be an object of embedders by fingerprint, as `models list` shows them.",
    );
  }
  for (const [fingerprint, embedder] of Object.entries(embedders)) {
    if (typeof embedder?.embedQuery === "function" && typeof embedder.embedDocuments === "function") continue;
    throw new ConfigurationError(`embedders: what is under ${JSON.stringify(fingerprint)} is no LangChain embedder.`);
  }
  return Object.freeze({ ...embedders });
}

function checkCollection(name: string): string {
  const storable = typeof name === "string" && name !== "" && !name.includes("\0") && name.isWellFormed();
  if (storable && Buffer.byteLength(name) <= MAX_COLLECTION_BYTES) return name;
  throw new ConfigurationError(
    `collectionName must be a non-empty string of at most ${MAX_COLLECTION_BYTES} bytes, got ${JSON.stringify(name)}.`,
  );
}
