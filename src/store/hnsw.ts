import { ConfigurationError, DimensionMismatchError } from "../errors.js";
import { graphNeed } from "./build-memory.js";
import { chooseHnswParameters } from "./index-parameters.js";
import { readIndexSizing } from "./index-sizing.js";
import { operatorClass } from "./metric.js";
import type { OpenStore } from "./open.js";
import { integer } from "./options.js";
import {
  checkIndexable,
  checkIndexOptions,
  createVectorIndex,
  type VectorIndexOptions,
  type VectorIndexSpec,
} from "./vector-index.js";

export interface HnswConfig extends VectorIndexOptions {
  /** Must be those of the embedding column when given. */
  readonly dimensions?: number;
  /** Connections of a vertex in the graph, 2 to 100. @defaultValue by rows and memory, mostly 16 */
  readonly m?: number;
  /** Candidates kept while the graph is built, 4 to 1,000 and at least `2 * m`. @defaultValue by rows, mostly 128 */
  readonly efConstruction?: number;
  /** Must be the operator class of the store's `distanceStrategy` when given, since no search would use another. */
  readonly distanceFunction?: string;
}

/**
 * Builds an HNSW index on the embedding column with `create index concurrently`, so that reads and writes go on, and
 * measures how many candidates its searches need. Does nothing when the index is there.
 *
 * @throws as {@link createVectorIndex}, and when the column has more dimensions than HNSW can index.
 */
export async function createHnswIndex(store: OpenStore, config: HnswConfig): ReturnType<typeof createVectorIndex> {
  checkIndexOptions(store, config);
  return createVectorIndex(store, await hnswSpec(store, config), config);
}

/** The index that a config stands for, with the parameters that it leaves open. @throws before any I/O for a bad one. */
export async function hnswSpec(store: OpenStore, config: HnswConfig): Promise<VectorIndexSpec> {
  const given = checkHnsw(store, config);
  const sizing = await readIndexSizing(store);
  const chosen = chooseHnswParameters({ ...store.model, rows: sizing.rows }, sizing.sharedBuffers);
  const m = given.m ?? chosen.m;
  const efConstruction = given.efConstruction ?? Math.max(chosen.efConstruction, 2 * m);
  if (efConstruction < 2 * m) {
    throw new ConfigurationError(`efConstruction is ${efConstruction}; it must be at least 2 * m = ${2 * m}.`);
  }
  return {
    method: "hnsw",
    parameters: { m, ef_construction: efConstruction },
    given: {
      ...(given.m !== undefined && { m }),
      ...(given.efConstruction !== undefined && { ef_construction: efConstruction }),
    },
    need: graphNeed(store.model, m),
  };
}

function checkHnsw(
  store: OpenStore,
  config: HnswConfig,
): { readonly m: number | undefined; readonly efConstruction: number | undefined } {
  const { model, options } = store;
  if (config.dimensions !== undefined && config.dimensions !== model.dimensions) {
    throw new DimensionMismatchError(
      `createHnswIndex: dimensions is ${config.dimensions}, the embedding column has ${model.dimensions}; leave it out.`,
      model.dimensions,
      config.dimensions,
    );
  }
  checkIndexable(store, "HNSW");
  const wanted = operatorClass(options.metric, model, store.server.vector.schema);
  const given = config.distanceFunction;
  if (given !== undefined && !wanted.endsWith(`."${given}"`)) {
    throw new ConfigurationError(
      `distanceFunction ${JSON.stringify(given)} would build an index that no search uses: distanceStrategy ` +
        `"${options.metric}" needs ${wanted}. Leave it out.`,
    );
  }
  return {
    m: integer("m", config.m, 2, 100),
    efConstruction: integer("efConstruction", config.efConstruction, 4, 1_000),
  };
}
