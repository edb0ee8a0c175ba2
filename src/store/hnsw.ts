import sql, { raw } from "sql-template-tag";
import { quoteLiteral } from "../db/identifiers.js";
import { ConfigurationError, DimensionMismatchError, IndexBuildError } from "../errors.js";
import { FIXED_COLUMNS, type StorageType } from "../schema/layout.js";
import { derivedName } from "../schema/partitions.js";
import { createPartitionedIndex, ensureIndex, withBuildMemory } from "./build-index.js";
import { DEFAULT_TARGET_RECALL, noteRecall } from "./measure-recall.js";
import { operatorClass, signsOf } from "./metric.js";
import type { OpenStore } from "./open.js";
import { integer } from "./options.js";
import { toTenantId } from "./tenant.js";

export interface HnswConfig {
  /** Must be those of the embedding column when given. */
  dimensions?: number;
  /** Connections of a vertex in the graph, 2 to 100. @defaultValue 16 */
  m?: number;
  /** Candidates kept while the graph is built, 4 to 1,000 and at least `2 * m`. @defaultValue 128 */
  efConstruction?: number;
  /** Must be the operator class of the store's `distanceStrategy` when given, since no search would use another. */
  distanceFunction?: string;
  /** Put in front of the index's name. */
  namespace?: string;
  /** Indexes the rows of this tenant alone; for one that is large, or whose searches matter more than others'. */
  tenantId?: string | number;
  /**
   * The recall@10 that searches are to reach, above 0 and at most 1. After the build it is measured how many candidates
   * that takes, for some 15 seconds at most, and searches without an `efSearch` use as many. `false` leaves it at 100.
   * @defaultValue 0.99
   */
  targetRecall?: number | false;
  /** Processes that build beside the first; 0 leaves searches their cores. @defaultValue the server's setting */
  parallelWorkers?: number;
}

/** Dimensions that pgvector's HNSW can index for each type. */
const MAX_DIMENSIONS: Record<StorageType, number> = { vector: 2_000, halfvec: 4_000 };

const MAX_BITS = 64_000;

/**
 * Builds an HNSW index on the embedding column with `create index concurrently`, so that reads and writes go on, and
 * measures how many candidates its searches need. Does nothing when the index is there; replaces the invalid remains of
 * an interrupted build. On a partitioned table one partition after the other gets its index, and later partitions get
 * theirs when they are made.
 *
 * @throws IndexBuildError when the build fails (its remains are removed), when the column has more dimensions than
 * HNSW can index, or when another relation has the index's name.
 */
export async function createHnswIndex(store: OpenStore, config: HnswConfig): Promise<void> {
  const checked = checkConfig(store, config);
  const name = indexName(config.namespace, store.options.layout.table, store.model.column, checked.tenant);
  const built = await build(store, name, checked);
  store.memory.forgetIndexes();
  if (checked.targetRecall === undefined) return;
  for (const index of built) {
    await noteRecall(store, index, checked.targetRecall, checked.tenant);
  }
}

/** @returns the names of the indexes that had to be built: one, or one for each partition. */
async function build(store: OpenStore, name: string, config: CheckedConfig): Promise<string[]> {
  const { m, efConstruction, tenant } = config;
  const { table } = store.options.layout;
  const rows = tenant === undefined ? "" : ` where ${FIXED_COLUMNS.tenant} = ${quoteLiteral(tenant)}`;
  const opclass = operatorClass(store.options.metric, store.model, store.server.vector.schema);
  const { embedding } = store.columns;
  const indexed =
    store.model.quantization === "binary"
      ? signsOf(embedding, store.model.dimensions, store.server.vector.schema)
      : embedding;
  const using = sql`using hnsw (${indexed} ${raw(opclass)}) with (m = ${raw(String(m))}, ef_construction = ${raw(String(efConstruction))})${raw(rows)}`;
  if (store.partitioned) return createPartitionedIndex(store, name, using);
  const index = { schema: store.schema, table, name, using };
  const built = await store.database.connection((session) =>
    withBuildMemory(session, store, m, () => ensureIndex(session, index), config.parallelWorkers),
  );
  return built ? [name] : [];
}

/** The name of an HNSW index. */
export function indexName(
  namespace: string | undefined,
  table: string,
  column: string,
  tenant: string | undefined,
): string {
  return derivedName(...(namespace ? [namespace] : []), table, column, ...(tenant ? [tenant] : []), "hnsw_idx");
}

interface CheckedConfig {
  readonly m: number;
  readonly efConstruction: number;
  readonly tenant: string | undefined;
  readonly targetRecall: number | undefined;
  readonly parallelWorkers: number | undefined;
}

function checkConfig(store: OpenStore, config: HnswConfig): CheckedConfig {
  const { model, options } = store;
  const limit = model.quantization === "binary" ? MAX_BITS : MAX_DIMENSIONS[model.storageType];
  if (config.dimensions !== undefined && config.dimensions !== model.dimensions) {
    throw new DimensionMismatchError(
      `createHnswIndex: dimensions is ${config.dimensions}, the embedding column has ${model.dimensions}; leave it out.`,
      model.dimensions,
      config.dimensions,
    );
  }
  if (model.dimensions > limit) {
    throw new IndexBuildError(
      `HNSW can index up to ${limit.toLocaleString("en")} dimensions of type ${model.storageType}, the column has ` +
        `${model.dimensions.toLocaleString("en")}. ` +
        (model.dimensions <= MAX_DIMENSIONS.halfvec
          ? 'Create the store with storageType: "halfvec", or shorten the vectors (OpenAI: `dimensions`).'
          : 'Create the store with quantization: "binary", or add such a version: langchain-pgvector models add --quantization binary.'),
    );
  }
  const wanted = operatorClass(options.metric, model, store.server.vector.schema);
  const given = config.distanceFunction;
  if (given !== undefined && !wanted.endsWith(`."${given}"`)) {
    throw new ConfigurationError(
      `distanceFunction ${JSON.stringify(given)} would build an index that no search uses: distanceStrategy ` +
        `"${options.metric}" needs ${wanted}. Leave it out.`,
    );
  }
  const m = integer("m", config.m, 2, 100) ?? 16;
  const efConstruction = integer("efConstruction", config.efConstruction, 4, 1_000) ?? Math.max(128, 2 * m);
  if (efConstruction < 2 * m) {
    throw new ConfigurationError(`efConstruction is ${efConstruction}; it must be at least 2 * m = ${2 * m}.`);
  }
  const { targetRecall = DEFAULT_TARGET_RECALL, tenantId } = config;
  if (targetRecall !== false && !(targetRecall > 0 && targetRecall <= 1)) {
    throw new ConfigurationError(`targetRecall must be false or above 0 and at most 1, got ${targetRecall}.`);
  }
  if (tenantId !== undefined && options.layout.tenancy === "off") {
    throw new ConfigurationError('tenantId needs tenancy: "rls"; leave it out for an index on all rows.');
  }
  if (tenantId !== undefined && store.partitioned) {
    throw new ConfigurationError("The table is partitioned: give the tenant a partition with tenants.isolate instead.");
  }
  return {
    m,
    efConstruction,
    tenant: tenantId === undefined ? undefined : toTenantId(tenantId),
    targetRecall: targetRecall === false ? undefined : targetRecall,
    parallelWorkers: integer("parallelWorkers", config.parallelWorkers, 0, 64),
  };
}
