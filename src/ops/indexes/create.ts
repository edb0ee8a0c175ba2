import sql, { raw } from "sql-template-tag";
import { ConfigurationError } from "../../errors.js";
import { FIXED_COLUMNS } from "../../schema/layout.js";
import { derivedName } from "../../schema/partitions.js";
import { parsePromotedKeys } from "../../schema/promoted-keys.js";
import type { WantedIndex } from "../../store/build-index.js";
import { createHnswIndex, hnswSpec, type HnswConfig } from "../../store/hnsw.js";
import { readIndexSizing } from "../../store/index-sizing.js";
import { ivfflatSpec, type IvfflatConfig } from "../../store/ivfflat.js";
import type { OpenStore } from "../../store/open.js";
import { oneOf } from "../../store/options.js";
import { createPartitionedIndex } from "../../store/partition-index.js";
import {
  buildIndex,
  checkIndexOptions,
  createVectorIndex,
  wantedVectorIndex,
  type VectorIndexOptions,
} from "../../store/vector-index.js";
import { cleanLeftovers } from "./leftovers.js";
import { describeCreate, type IndexPlan } from "./plan.js";

/** What building any index can be told. */
export type BuildOptions = Pick<
  VectorIndexOptions,
  "namespace" | "memory" | "workers" | "concurrently" | "onProgress" | "signal"
>;

/** An index on the column of a promoted metadata key, for filters by it. */
export interface KeyIndexConfig extends BuildOptions {
  /** As it was promoted, such as `"year"`. */
  readonly key: string;
}

export type CreateIndexOptions =
  | ({ readonly type?: "hnsw" } & HnswConfig)
  | ({ readonly type: "ivfflat" } & IvfflatConfig)
  | ({ readonly type: "btree" } & KeyIndexConfig)
  /** On the metadata as a whole, for filters by keys that have no column. */
  | ({ readonly type: "gin" } & BuildOptions);

export interface CreatedIndex {
  readonly name: string;
  /** What had to be built: the index, or its parts on partitions; nothing when it was there. */
  readonly built: readonly string[];
  readonly warnings: readonly string[];
}

/** Builds an index; see `StoreIndexes.create`. */
export async function createIndex(store: OpenStore, options: CreateIndexOptions): Promise<CreatedIndex> {
  const type = checkType(options);
  options.signal?.throwIfAborted();
  const warnings = await warningsFor(store, type);
  for (const warning of warnings) store.options.logger.warn(`langchain-pgvector: ${warning}`);
  await cleanLeftovers(store, options);
  if (options.type === "btree" || options.type === "gin") {
    return { ...(await createMetadataIndex(store, metadataIndex(store, options), options)), warnings };
  }
  const created =
    options.type === "ivfflat" ? await createIvfflat(store, options) : await createHnswIndex(store, options);
  return { ...created, warnings };
}

async function createIvfflat(store: OpenStore, config: IvfflatConfig): ReturnType<typeof createVectorIndex> {
  checkIndexOptions(store, config);
  return createVectorIndex(store, await ivfflatSpec(store, config), config);
}

/** What {@link createIndex} would run. No effects. */
export async function planCreateIndex(store: OpenStore, options: CreateIndexOptions): Promise<IndexPlan> {
  const type = checkType(options);
  const warnings = await warningsFor(store, type);
  if (options.type === "btree" || options.type === "gin") {
    return describeCreate(store, metadataIndex(store, options), METADATA_NEED, options, warnings);
  }
  const { tenant } = checkIndexOptions(store, options);
  const spec = options.type === "ivfflat" ? await ivfflatSpec(store, options) : await hnswSpec(store, options);
  const wanted = wantedVectorIndex(store, spec, { namespace: options.namespace, tenant });
  return describeCreate(store, wanted, spec.need, options, warnings);
}

function checkType(options: CreateIndexOptions): NonNullable<CreateIndexOptions["type"]> {
  return oneOf("type", options.type, ["hnsw", "ivfflat", "btree", "gin"]) ?? "hnsw";
}

/** Sorting takes what it gets; more than this does not make it faster. */
const METADATA_NEED = { total: 256 * 2 ** 20 };

async function warningsFor(store: OpenStore, type: string): Promise<string[]> {
  if (type === "gin" && store.options.layout.tenancy === "rls") {
    return [
      "under row-level security no search uses a GIN index, since its operators are not leakproof. Promote the keys that " +
        "filters name: langchain-pgvector init --promote key:type",
    ];
  }
  if (type !== "hnsw" || !(await readIndexSizing(store)).empty) return [];
  return [
    "the table is empty: every row that comes is put into the index by itself, which takes several times as long as building " +
      "it once the rows are there. Load them with bulkLoad, which sees to that, or build the index afterwards.",
  ];
}

type MetadataIndex = WantedIndex & { readonly expected: NonNullable<WantedIndex["expected"]> };

/** @throws ConfigurationError for a key that has no column. */
function metadataIndex(
  store: OpenStore,
  options: Extract<CreateIndexOptions, { type: "btree" | "gin" }>,
): MetadataIndex {
  const { layout } = store.options;
  const place = { schema: store.schema, table: layout.table };
  const named = (...parts: string[]): string =>
    derivedName(...(options.namespace ? [options.namespace] : []), ...parts);
  if (options.type === "gin") {
    const column = layout.columns.metadata;
    return {
      ...place,
      name: named(layout.table, column, "gin_idx"),
      using: sql`using gin (${store.columns.metadata} jsonb_path_ops)`,
      expected: { method: "gin", column, opclass: "jsonb_path_ops", predicate: null, parameters: {} },
    };
  }
  const promoted = store.columns.promoted.get(options.key);
  if (promoted === undefined) {
    const known = [...store.columns.promoted.keys()].map((key) => JSON.stringify(key)).join(", ");
    throw new ConfigurationError(
      `The metadata key ${JSON.stringify(options.key)} has no column to index (${known || "no key has one"}). ` +
        `Promote it first: npx langchain-pgvector init --table ${layout.table} --promote ${options.key}:text`,
    );
  }
  const { tenant, collection } = FIXED_COLUMNS;
  return {
    ...place,
    // The name that promoting the key gives its index, so that one which was dropped comes back as it was.
    name: named(layout.table, parsePromotedKeys(Object.fromEntries([[options.key, promoted.type]]))[0]!.column, "idx"),
    using: sql`using btree (${raw(tenant)}, ${raw(collection)}, ${promoted.column})`,
    expected: { method: "btree", column: tenant, opclass: "text_ops", predicate: null, parameters: {} },
  };
}

async function createMetadataIndex(
  store: OpenStore,
  index: MetadataIndex,
  options: BuildOptions,
): Promise<Omit<CreatedIndex, "warnings">> {
  const build = (part: WantedIndex): Promise<boolean> => buildIndex(store, part, METADATA_NEED, options);
  if (store.partitioned) return { name: index.name, built: await createPartitionedIndex(store, { ...index, build }) };
  return { name: index.name, built: (await build(index)) ? [index.name] : [] };
}
