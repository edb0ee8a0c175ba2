import type { OpenStore } from "../../store/open.js";
import { readIndexSizing } from "../../store/index-sizing.js";
import { adviseIndexes } from "./advice.js";
import {
  createIndex,
  planCreateIndex,
  type BuildOptions,
  type CreatedIndex,
  type CreateIndexOptions,
} from "./create.js";
import { dropIndexOf, planDropIndex } from "./drop.js";
import { listIndexes, type IndexInfo } from "./list.js";
import type { IndexPlan } from "./plan.js";
import { planRebuildIndex, rebuildIndex, type RebuildIndexOptions, type RebuiltIndex } from "./rebuild.js";

/**
 * The indexes of a store's table, for the role that owns it. Nothing here holds up reads or writes; what builds or drops
 * needs a connection of its own for as long as it takes, straight to the server or through a pooler in session mode.
 */
export class StoreIndexes {
  readonly #open: () => Promise<OpenStore>;

  constructor(open: () => Promise<OpenStore>) {
    this.#open = open;
  }

  /** Every index of the table and its partitions, those of constraints included. */
  async list(): Promise<IndexInfo[]> {
    return listIndexes(await this.#open());
  }

  /** What is wrong with them, each with what to do about it; empty when nothing is. */
  async advice(): Promise<string[]> {
    const store = await this.#open();
    return adviseIndexes(await listIndexes(store), (await readIndexSizing(store)).rows);
  }

  /**
   * Builds an index unless it is there, online and with the memory that its graph needs; a vector index is measured
   * afterwards, so that searches look at as much of it as their recall takes. After an abort, an error or a kill another
   * call removes what is left and builds it. On a partitioned table one partition follows the other.
   *
   * @throws ConfigurationError before anything is built for parameters that cannot work.
   * @throws IndexBuildError when it cannot be built, or another index has its name.
   */
  async create(options: CreateIndexOptions = {}): Promise<CreatedIndex> {
    return createIndex(await this.#open(), options);
  }

  /** What {@link create} would do, with the SQL. No effects. */
  async planCreate(options: CreateIndexOptions = {}): Promise<IndexPlan> {
    return planCreateIndex(await this.#open(), options);
  }

  /**
   * Builds an index anew beside itself, with other parameters if they are given, and puts it in the old one's place; searches
   * use the old one until then. Removes what interrupted rebuilds have left. Needs as much disk again as the index has.
   *
   * @throws IndexBuildError when it fails; the index is then as it was.
   */
  async rebuild(options: RebuildIndexOptions = {}): Promise<RebuiltIndex> {
    return rebuildIndex(await this.#open(), options);
  }

  /** What {@link rebuild} would do, with the SQL. No effects. */
  async planRebuild(options: RebuildIndexOptions = {}): Promise<IndexPlan> {
    return planRebuildIndex(await this.#open(), options);
  }

  /** Drops an index by its name. @throws ConfigurationError for one that a constraint needs, or that is not there. */
  async drop(name: string, options: Pick<BuildOptions, "signal"> = {}): Promise<void> {
    await dropIndexOf(await this.#open(), name, options);
  }

  /** What {@link drop} would do, with the SQL. No effects. */
  async planDrop(name: string): Promise<IndexPlan> {
    return planDropIndex(await this.#open(), name);
  }
}
