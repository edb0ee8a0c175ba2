import sql, { raw } from "sql-template-tag";
import { quoteLiteral, printedLiteral } from "../db/identifiers.js";
import { SQLSTATE, sqlstateOf } from "../db/sqlstate.js";
import { ConfigurationError, IndexBuildError } from "../errors.js";
import { FIXED_COLUMNS, type ModelVersion, type StorageType } from "../schema/layout.js";
import { derivedName } from "../schema/partitions.js";
import { ensureIndex, type WantedIndex } from "./build-index.js";
import { withBuildResources, type BuildNeed, type BuildResources } from "./build-memory.js";
import { checkStoredElements, isTooManyElements, tooManyElements } from "./indexed-elements.js";
import { DEFAULT_TARGET_RECALL, noteRecall } from "./measure-recall.js";
import { operatorClass, operatorClassName, signsOf } from "./metric.js";
import type { OpenStore } from "./open.js";
import { createPartitionedIndex } from "./partition-index.js";
import { toTenantId } from "./tenant.js";
import { watchBuild, type IndexProgress } from "./watch-build.js";

/** What all vector indexes can be told. */
export interface VectorIndexOptions extends BuildResources {
  /** Put in front of the index's name. */
  readonly namespace?: string | undefined;
  /** Indexes the rows of this tenant alone; for one that is large, or whose searches matter more than others'. */
  readonly tenantId?: string | number | undefined;
  /**
   * The recall@10 that searches are to reach, above 0 and at most 1. After the build it is measured how many candidates
   * or lists that takes, for some 15 seconds at most, and searches that do not say use as many. `false` leaves that out.
   * @defaultValue 0.99
   */
  readonly targetRecall?: number | false | undefined;
  /** `false` builds in one transaction, which is faster and blocks writes. @defaultValue true */
  readonly concurrently?: boolean | undefined;
  readonly onProgress?: ((progress: IndexProgress) => void) | undefined;
  /** Cancels the build on the server and removes its remains. */
  readonly signal?: AbortSignal | undefined;
}

/** A vector index that is to be there, checked. */
export interface VectorIndexSpec {
  readonly method: "hnsw" | "ivfflat";
  /** Storage parameters in `with (...)`, in order. */
  readonly parameters: Readonly<Record<string, number>>;
  /** Those that were asked for by name. */
  readonly given: Readonly<Record<string, number>>;
  readonly need: BuildNeed;
}

/** Dimensions that pgvector can index for each type. */
export const MAX_DIMENSIONS: Record<StorageType, number> = { vector: 2_000, halfvec: 4_000, sparsevec: 1_000_000_000 };
/** The same for signs. */
const MAX_BITS = 64_000;

/** How many dimensions an index of a model's vectors can have. */
export function maxDimensions({
  storageType,
  quantization,
}: Pick<ModelVersion, "storageType" | "quantization">): number {
  return quantization === "binary" ? MAX_BITS : MAX_DIMENSIONS[storageType];
}

/** @throws IndexBuildError when no index can be built on the embedding column, with the cure. */
export function checkIndexable({ model }: OpenStore, method: "HNSW" | "IVFFlat"): void {
  if (method === "IVFFlat" && model.storageType === "sparsevec") {
    throw new IndexBuildError(
      'IVFFlat has no operator class for sparse vectors. Use HNSW: store.indexes.create({ type: "hnsw" }), or ' +
        "langchain-pgvector indexes create --type hnsw.",
    );
  }
  const limit = maxDimensions(model);
  if (model.dimensions <= limit) return;
  throw new IndexBuildError(
    `${method} can index up to ${limit.toLocaleString("en")} dimensions of type ${model.storageType}, the column has ` +
      `${model.dimensions.toLocaleString("en")}. ` +
      (model.dimensions <= MAX_DIMENSIONS.halfvec
        ? 'Create the store with storageType: "halfvec", or shorten the vectors (OpenAI: `dimensions`).'
        : 'Create the store with quantization: "binary", or add such a version: langchain-pgvector models add --quantization binary.'),
  );
}

/** @throws ConfigurationError for a tenant where there are none, or a recall that cannot be. */
export function checkIndexOptions(
  store: OpenStore,
  { targetRecall = DEFAULT_TARGET_RECALL, tenantId }: VectorIndexOptions,
): { readonly tenant: string | undefined; readonly targetRecall: number | undefined } {
  if (targetRecall !== false && !(targetRecall > 0 && targetRecall <= 1)) {
    throw new ConfigurationError(`targetRecall must be false or above 0 and at most 1, got ${targetRecall}.`);
  }
  if (tenantId !== undefined && store.options.layout.tenancy === "off") {
    throw new ConfigurationError('tenantId needs tenancy: "rls"; leave it out for an index on all rows.');
  }
  if (tenantId !== undefined && store.partitioned) {
    throw new ConfigurationError("The table is partitioned: give the tenant a partition with tenants.isolate instead.");
  }
  return {
    tenant: tenantId === undefined ? undefined : toTenantId(tenantId),
    targetRecall: targetRecall === false ? undefined : targetRecall,
  };
}

/** The name of a vector index: of its table, its column, which says the version, its tenant and its method. */
export function vectorIndexName(
  store: OpenStore,
  method: string,
  { namespace, tenant }: { readonly namespace: string | undefined; readonly tenant: string | undefined },
): string {
  const { table } = store.options.layout;
  const parts = [namespace, table, store.model.column, tenant].filter((part) => part !== undefined && part !== "");
  return derivedName(...(parts as string[]), `${method}_idx`);
}

/** The index as it is built: its name, and what stands behind `on <table>`. */
export function wantedVectorIndex(
  store: OpenStore,
  { method, parameters, given }: VectorIndexSpec,
  { namespace, tenant }: { readonly namespace: string | undefined; readonly tenant: string | undefined },
): WantedIndex & { readonly expected: NonNullable<WantedIndex["expected"]> } {
  const { model, options, server } = store;
  const settings = Object.entries(parameters).map(([key, value]) => `${key} = ${value}`);
  const rows = tenant === undefined ? "" : ` where ${FIXED_COLUMNS.tenant} = ${quoteLiteral(tenant)}`;
  const opclass = operatorClass(options.metric, model, server.vector.schema);
  const { embedding } = store.columns;
  const { schema } = server.vector;
  const binary = model.quantization === "binary";
  const indexed = binary ? signsOf(embedding, model.dimensions, schema) : embedding;
  return {
    schema: store.schema,
    table: options.layout.table,
    name: vectorIndexName(store, method, { namespace, tenant }),
    using: sql`using ${raw(method)} (${indexed} ${raw(opclass)}) with (${raw(settings.join(", "))})${raw(rows)}`,
    expected: {
      method,
      column: binary ? null : model.column,
      opclass: operatorClassName(options.metric, model.storageType, model.quantization),
      predicate: tenant === undefined ? null : `(${FIXED_COLUMNS.tenant} = ${printedLiteral(tenant)}::text)`,
      parameters: given,
    },
  };
}

/**
 * Builds a vector index unless it is there, and measures what its searches need. On a partitioned table one partition
 * after the other gets its index, and later partitions get theirs when they are made.
 *
 * @returns the index's name, and the names of what had to be built: it, or its parts on partitions.
 * @throws IndexBuildError when the build fails (its remains are removed), or something else has the index's name.
 */
export async function createVectorIndex(
  store: OpenStore,
  spec: VectorIndexSpec,
  options: VectorIndexOptions,
): Promise<{ readonly name: string; readonly built: readonly string[] }> {
  const { tenant, targetRecall } = checkIndexOptions(store, options);
  const wanted = wantedVectorIndex(store, spec, { namespace: options.namespace, tenant });
  const build = (part: WantedIndex): Promise<boolean> => buildIndex(store, part, spec.need, options);
  const { name, using, expected } = wanted;
  await checkStoredElements(store, name, tenant);
  const built = store.partitioned
    ? await createPartitionedIndex(store, { name, using, expected, build })
    : (await build(wanted))
      ? [name]
      : [];
  store.memory.forgetIndexes();
  if (targetRecall !== undefined) {
    for (const index of built) {
      options.signal?.throwIfAborted();
      options.onProgress?.({ index, phase: "measuring", done: undefined, message: `${index}: measuring its recall` });
      await noteRecall(store, index, targetRecall);
    }
  }
  return { name, built };
}

/** Builds one index with the memory and the processes that it needs, and says how far it is. */
export async function buildIndex(
  store: OpenStore,
  index: WantedIndex,
  need: BuildNeed,
  options: VectorIndexOptions,
): Promise<boolean> {
  const { signal, onProgress, concurrently } = options;
  const onWait = (message: string): void =>
    onProgress?.({ index: index.name, phase: "waiting", done: undefined, message: `${index.name}: ${message}` });
  const attempt = (workers: number | undefined): Promise<boolean> =>
    store.database.connection(
      (session) =>
        withBuildResources(session, index, need, { memory: options.memory, workers }, (memory) => {
          if (memory.granted < memory.needed) store.options.logger.warn(tooLittle(index.name, memory));
          return watchBuild(store.database, session, index.name, onProgress, () =>
            ensureIndex(session, index, { onWait, signal, concurrently }),
          );
        }),
      signal,
    );
  try {
    return await attempt(options.workers);
  } catch (error) {
    if (isTooManyElements(store, error)) throw tooManyElements(index.name, undefined, error);
    // Parallel workers share memory of which a container often has little; without them the build needs none.
    const cause = error instanceof IndexBuildError ? sqlstateOf(error.cause) : undefined;
    if (cause !== SQLSTATE.diskFull || options.workers === 0) throw error;
    return attempt(0);
  }
}

function tooLittle(name: string, { needed, granted }: { needed: number; granted: number }): string {
  return (
    `langchain-pgvector: the graph of ${name} is estimated at ${megabytes(needed)} and its build gets ${megabytes(granted)}, ` +
    "so that a part of it goes to disk, which takes several times as long. Raise shared_buffers, or say `memory` where the " +
    "machine has it to spare."
  );
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20).toLocaleString("en")} MB`;
}
