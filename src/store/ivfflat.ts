import { IndexBuildError } from "../errors.js";
import { chooseLists, ivfflatBuildBytes } from "./index-parameters.js";
import { readIndexSizing } from "./index-sizing.js";
import type { OpenStore } from "./open.js";
import { integer } from "./options.js";
import { checkIndexable, type VectorIndexOptions, type VectorIndexSpec } from "./vector-index.js";

export interface IvfflatConfig extends VectorIndexOptions {
  /** Lists that the rows are divided into, 1 to 32,768. @defaultValue a thousandth of the rows, the root beyond a million */
  readonly lists?: number;
}

/**
 * The IVFFlat index that a config stands for.
 *
 * @throws IndexBuildError on an empty table: the lists are made from the rows that are there, and later rows would be put
 * where they do not belong.
 */
export async function ivfflatSpec(store: OpenStore, config: IvfflatConfig): Promise<VectorIndexSpec> {
  const given = integer("lists", config.lists, 1, 32_768);
  checkIndexable(store, "IVFFlat");
  const { rows, empty } = await readIndexSizing(store);
  if (empty) {
    throw new IndexBuildError(
      `The table ${JSON.stringify(store.options.layout.table)} is empty, and IVFFlat makes its lists from the rows that are ` +
        "there. Load the data first, or use HNSW.",
    );
  }
  const lists = given ?? chooseLists(rows);
  return {
    method: "ivfflat",
    parameters: { lists },
    given: given === undefined ? {} : { lists },
    need: { total: ivfflatBuildBytes(store.model, lists) },
  };
}
