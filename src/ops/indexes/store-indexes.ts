import type { VectorInput } from "../../db/sparse-vector.js";
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
import { compareIndexes, type CompareOptions, type VariantReport } from "../tune/compare.js";
import type { TuneOptions } from "../tune/options.js";
import { probeRecall, recallHistory, type ProbeOptions, type RecallRecord } from "../tune/probe.js";
import { tune, type TuneReport } from "../tune/tune.js";

/**
 * The indexes of a store's table, for the role that owns it. Nothing here holds up reads or writes; what builds or drops
 * needs a connection of its own for as long as it takes, straight to the server or through a pooler in session mode.
 */
export class StoreIndexes {
  readonly #open: () => Promise<OpenStore>;
  readonly #embed: ((text: string) => Promise<VectorInput>) | undefined;

  /** @param embed makes vectors of what `tune` is given as texts. */
  constructor(open: () => Promise<OpenStore>, embed?: (text: string) => Promise<VectorInput>) {
    this.#open = open;
    this.#embed = embed;
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

  /**
   * Measures recall@k against exact searches, and time, over the settings that searches by the index may have, and stores
   * the fastest that reaches the target with the index: searches that name no `efSearch` or `probes` use it, in other
   * processes within a minute. Every third question is kept back and checks the choice. With filters and tenants, how they
   * are served is measured too. Reads only, apart from that; the exact searches read all rows, some hundred times.
   *
   * @throws ConfigurationError when no search would use an index.
   * @throws TenantIsolationError with tenancy, for a role that does not administer the tenants and names none.
   */
  async tune(options: TuneOptions = {}): Promise<TuneReport> {
    return tune(await this.#open(), options, this.#embed);
  }

  /**
   * Builds small HNSW indexes on a sample of the rows, in a temporary table, and says what each costs and reaches: before
   * paying for a full build with other parameters, half precision or binary quantization. Builds in one process.
   *
   * @throws as {@link tune}.
   */
  async compare(options: CompareOptions = {}): Promise<VariantReport[]> {
    return compareIndexes(await this.#open(), options);
  }

  /**
   * Measures the recall of the present index with some forty questions, and records it: a second or a few, for a job that
   * runs every day. `undefined` when no search uses an index.
   *
   * @throws as {@link tune}.
   */
  async probe(options: ProbeOptions = {}): Promise<RecallRecord | undefined> {
    return probeRecall(await this.#open(), options);
  }

  /** What {@link probe} has recorded, the latest first. */
  async history(options: { readonly index?: string; readonly limit?: number } = {}): Promise<RecallRecord[]> {
    return recallHistory(await this.#open(), options);
  }
}
