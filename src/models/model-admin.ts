import { ConfigurationError } from "../errors.js";
import type { StoreHandle } from "../store/store-handle.js";
import { toTenantId } from "../store/tenant.js";
import { addModel, planAdd, type AddModelOptions, type AddModelPlan } from "./add.js";
import { backfill } from "./backfill/backfill.js";
import { checkBackfill, type BackfillOptions, type BackfillResult } from "./backfill/options.js";
import { compareVersions, type CompareModelsOptions, type Comparison } from "./compare/compare.js";
import { indexVersion } from "./index-version.js";
import { liveVersion } from "./model-registry.js";
import { planRetire, retireVersion, type Retired, type RetireOptions, type RetirePlan } from "./retire.js";
import { modelInfos, readStatus, type ModelInfo, type ModelsStatus } from "./status.js";
import {
  nextVersion,
  overrideTenant,
  planSwitch,
  previousVersion,
  switchTo,
  type Switched,
  type SwitchOptions,
  type SwitchPlan,
} from "./switch.js";
import { administratorOf } from "./tenant-scopes.js";

/**
 * The embedding models of a store: changes the one that searches use, with readers and writers at work, and back. For the
 * role that owns the tables; with tenancy for the one that made the store.
 *
 * Vectors of two versions are never compared: each has its column, every statement is checked against the present epoch of
 * the versions, and a process searches by a version of which it has the embedder, or not at all.
 */
export class ModelAdmin {
  constructor(private readonly handle: StoreHandle) {}

  /** The versions that have a column, the oldest first. */
  async list(): Promise<ModelInfo[]> {
    return modelInfos(await this.#current());
  }

  /** What {@link add} would do, and what the whole change takes. Asks the embedder; changes nothing. */
  async planAdd(options: AddModelOptions): Promise<AddModelPlan> {
    return planAdd(await this.#current(), options);
  }

  /**
   * Adds a version: from then on every process that has its embedder writes to it beside the others.
   *
   * @throws ConfigurationError when it is there already, or another one is being added.
   */
  async add(options: AddModelOptions): Promise<ModelInfo> {
    const store = await this.#current();
    const version = await addModel(store, await planAdd(store, options));
    await this.handle.renew(store);
    return (await this.list()).find((info) => info.version === version.version)!;
  }

  /**
   * Fills the missing vectors of a version, a page's rows in transactions of their own, and when none is missing builds its
   * index. Any number of processes may do so at once; one that was stopped is gone on with by any other.
   *
   * @throws UnknownModelError without the version's embedder.
   */
  async backfill(options: BackfillOptions = {}): Promise<BackfillResult> {
    checkBackfill(options);
    await this.#current();
    return backfill(this.handle, options);
  }

  /** Builds the index of a complete version, where {@link backfill} was told not to. @returns whether it is there. */
  async index(options: { version?: number; workers?: number; signal?: AbortSignal } = {}): Promise<boolean> {
    const { version } = liveVersion(await this.#current(), options.version);
    return indexVersion(this.handle, version, { workers: options.workers ?? 0, signal: options.signal });
  }

  /** How far each version has come, and which processes have which embedders. Reads the table. */
  async status(): Promise<ModelsStatus> {
    return readStatus(await this.#current());
  }

  /** Asks two versions the same and compares what they find; with thresholds, a failure blocks the cut-over. */
  async compare(options: CompareModelsOptions = {}): Promise<Comparison> {
    return compareVersions(await this.#current(), options);
  }

  /** What speaks against a {@link cutover}. */
  async planCutover(options: SwitchOptions = {}): Promise<SwitchPlan> {
    const store = await this.#current();
    return planSwitch(store, nextVersion(store, options.version), options);
  }

  /**
   * Makes a version the one that searches use. The one before is still written to, until it is retired.
   *
   * @throws CutoverBlockedError while rows lack their vector; for other objections unless it is forced.
   */
  async cutover(options: SwitchOptions = {}): Promise<Switched> {
    const store = await this.#current();
    return switchTo(this.handle, nextVersion(store, options.version), options);
  }

  /** What speaks against a {@link rollback}. */
  async planRollback(options: SwitchOptions = {}): Promise<SwitchPlan> {
    const store = await this.#current();
    return planSwitch(store, previousVersion(store, options.version), options);
  }

  /** Goes back to the version before. @throws as {@link cutover}. */
  async rollback(options: SwitchOptions = {}): Promise<Switched> {
    const store = await this.#current();
    return switchTo(this.handle, previousVersion(store, options.version), options);
  }

  /** What {@link retire} would do, and with `rewrite` for how long everything would wait. */
  async planRetire(options: RetireOptions): Promise<RetirePlan> {
    return planRetire(await this.#current(), options);
  }

  /** Takes a version away and frees its space. @throws CutoverBlockedError while processes depend on it, unless forced. */
  async retire(options: RetireOptions): Promise<Retired> {
    await this.#current();
    return retireVersion(this.handle, options);
  }

  /**
   * Makes one tenant read a version that is ready before all others do; without a version it reads the active one again.
   *
   * @throws ConfigurationError while tenancy is off.
   * @throws CutoverBlockedError while rows of the tenant lack their vector.
   */
  async override(tenantId: string | number, version: number | undefined): Promise<void> {
    const store = await this.#current();
    if (store.options.layout.tenancy === "off") {
      throw new ConfigurationError('An override is for one tenant; it needs tenancy: "rls".');
    }
    const chosen = version === undefined ? undefined : liveVersion(store, version);
    if (chosen?.state === "building") {
      throw new ConfigurationError(`Version ${version} is still being built; finish its backfill first.`);
    }
    await overrideTenant(this.handle, administratorOf(store, toTenantId(tenantId)), chosen);
  }

  /** The store as its models are now. */
  async #current() {
    return this.handle.refresh();
  }
}
