import sql, { raw } from "sql-template-tag";
import { quoteIdentifier } from "../db/identifiers.js";
import { ConfigurationError, DimensionMismatchError, IndexBuildError } from "../errors.js";
import { shortName, type StorageType } from "../schema/layout.js";
import { buildIndex } from "./index-build.js";
import { operatorClass } from "./metric.js";
import type { OpenStore } from "./open.js";
import { integer } from "./options.js";

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
}

/** Dimensions that pgvector's HNSW can index for each type. */
const MAX_DIMENSIONS: Record<StorageType, number> = { vector: 2_000, halfvec: 4_000 };

/**
 * Builds an HNSW index on the embedding column with `create index concurrently`, so that reads and writes go on. Does
 * nothing when the index is there; replaces the invalid remains of an interrupted build.
 *
 * @throws IndexBuildError when the build fails (its remains are removed), when the column has more dimensions than
 * HNSW can index, or when another relation has the index's name.
 */
export async function createHnswIndex(store: OpenStore, config: HnswConfig): Promise<void> {
  const { m, efConstruction } = checkConfig(store, config);
  const { table } = store.options.layout;
  const name = indexName(config.namespace, table, store.model.column);
  const opclass = operatorClass(store.options.metric, store.model.storageType, store.server.vector.schema);
  const create = sql`create index concurrently ${raw(quoteIdentifier(name))} on ${store.table} using hnsw (${store.columns.embedding} ${raw(opclass)}) with (m = ${raw(String(m))}, ef_construction = ${raw(String(efConstruction))})`;
  await store.database.connection((session) => buildIndex(session, store, name, create));
}

/** The name of an HNSW index; a long one is cut and told apart by a hash of the whole. */
export function indexName(namespace: string | undefined, table: string, column: string): string {
  return shortName(`${namespace === undefined || namespace === "" ? "" : `${namespace}_`}${table}_${column}_hnsw_idx`);
}

function checkConfig(store: OpenStore, config: HnswConfig): { m: number; efConstruction: number } {
  const { model, options } = store;
  const limit = MAX_DIMENSIONS[model.storageType];
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
          : "Shorten the vectors (OpenAI: `dimensions`) or use a model with fewer; searches stay exact until then."),
    );
  }
  const wanted = operatorClass(options.metric, model.storageType, store.server.vector.schema);
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
  return { m, efConstruction };
}
