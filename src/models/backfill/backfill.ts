import { randomUUID } from "node:crypto";
import { UnknownModelError } from "../../errors.js";
import type { OpenStore, ScopedStore } from "../../store/open.js";
import type { StoreHandle } from "../../store/store-handle.js";
import { isStale } from "../../store/versions/fence.js";
import type { LiveVersion } from "../../store/versions/store-models.js";
import { indexVersion } from "../index-version.js";
import { completenessOf } from "../missing.js";
import { liveVersion } from "../model-registry.js";
import { tenantScopes } from "../tenant-scopes.js";
import { adoptVectors } from "./adopt-vectors.js";
import { BatchEmbedder } from "./embed-batch.js";
import { Leases } from "./leases.js";
import { checkBackfill, type BackfillOptions, type BackfillProgress, type BackfillResult } from "./options.js";
import { Pacer } from "./pacer.js";
import { clearSetAside, listSetAside } from "./set-aside.js";
import { BackfillWorker } from "./worker.js";

/** Fills the missing vectors of a version and, when none is missing, builds its index; see `ModelAdmin.backfill`. */
export async function backfill(handle: StoreHandle, options: BackfillOptions): Promise<BackfillResult> {
  const plan = checkBackfill(options);
  const { signal } = options;
  signal?.throwIfAborted();
  const began = performance.now();
  let store = await handle.open();
  const number = liveVersion(store, options.version).version;
  let scopes = await tenantScopes(store);
  if (options.retrySetAside) for (const scope of scopes) await clearSetAside(scope, number);
  const total = (await completenessOf(store, scopes, liveVersion(store, number))).missing;
  const report = new Report(total, options.onProgress);
  for (;;) {
    const version = liveVersion(store, number);
    try {
      if (options.vectors !== undefined) await adoptVectors(store, version, options.vectors, plan, report, signal);
      else await fillAll(store, scopes, version, { plan, options, report });
      break;
    } catch (error) {
      if (!isStale(error) || options.vectors !== undefined) throw error;
      store = await handle.renew(store);
      scopes = await tenantScopes(store);
    }
  }
  const { missing } = await completenessOf(store, scopes, liveVersion(store, number));
  if (missing === 0) for (const scope of scopes) await clearSetAside(scope, number);
  const aside = await listSetAside(store, scopes, number);
  let indexed = false;
  if (missing === 0 && options.index !== false) {
    report.say("indexing");
    indexed = await indexVersion(handle, number, { workers: options.indexWorkers ?? 0, signal });
  }
  report.say("done");
  const state = liveVersion(await handle.open(), number).state;
  return {
    version: number,
    filled: report.filled,
    missing,
    setAside: aside.rows,
    setAsideCount: aside.count,
    hotRatio: report.filled === 0 ? 1 : report.inPlace / report.filled,
    writeSeconds: report.writeMs / 1_000,
    seconds: (performance.now() - began) / 1_000,
    pausedSeconds: report.waitedMs / 1_000,
    tokens: report.tokens,
    indexed,
    state,
  };
}

interface FillRequest {
  readonly plan: ReturnType<typeof checkBackfill>;
  readonly options: BackfillOptions;
  readonly report: Report;
}

async function fillAll(
  store: OpenStore,
  scopes: readonly ScopedStore[],
  version: LiveVersion,
  { plan, options, report }: FillRequest,
): Promise<void> {
  const { signal } = options;
  const source =
    version.derivedFrom === undefined
      ? undefined
      : store.models.live.find((live) => live.version === version.derivedFrom);
  if (source === undefined && version.embedder === undefined) {
    throw new UnknownModelError(
      `This process has no embedder for version ${version.version} (${version.fingerprint}): give it in \`embedders\` under that ` +
        "fingerprint, or hand in `vectors` that are there already.",
    );
  }
  const first = scopes[0];
  if (first === undefined) return;
  const embedder = new BatchEmbedder(version, plan, signal);
  const pacer = new Pacer(first, plan, (reason) => report.say("paused", reason), signal);
  const leases = new Leases(version, first, randomUUID());
  const worker = new BackfillWorker(
    version,
    source,
    plan,
    embedder,
    leases,
    pacer,
    () => report.say("filling"),
    signal,
  );
  report.follow(worker, embedder, pacer);
  try {
    // What one transaction fills is over before it could be felt.
    if (report.total > plan.batchRows) await pacer.begin();
    for (const scope of scopes) await worker.fillLeases(scope);
    for (const scope of scopes) await worker.sweep(scope);
  } finally {
    await pacer.end();
    report.settle();
  }
}

/** Adds up what workers have done, over the epochs of one call. */
export class Report {
  #done = { filled: 0, inPlace: 0, setAside: 0, writeMs: 0, waitedMs: 0, tokens: 0 };
  #worker: { worker: BackfillWorker; embedder: BatchEmbedder; pacer: Pacer } | undefined;
  readonly #began = performance.now();

  constructor(
    readonly total: number,
    private readonly onProgress: ((progress: BackfillProgress) => void) | undefined,
  ) {}

  follow(worker: BackfillWorker, embedder: BatchEmbedder, pacer: Pacer): void {
    this.#worker = { worker, embedder, pacer };
  }

  /** To be called when the worker has ended. */
  settle(): void {
    this.#done = this.#sum();
    this.#worker = undefined;
  }

  /** Counts rows that were filled without a worker. */
  add(filled: number, inPlace: number, writeMs: number): void {
    this.#done.filled += filled;
    this.#done.inPlace += inPlace;
    this.#done.writeMs += writeMs;
  }

  get filled(): number {
    return this.#sum().filled;
  }

  get inPlace(): number {
    return this.#sum().inPlace;
  }

  get writeMs(): number {
    return this.#sum().writeMs;
  }

  get waitedMs(): number {
    return this.#sum().waitedMs;
  }

  get tokens(): number {
    return this.#sum().tokens;
  }

  say(phase: BackfillProgress["phase"], reason?: string): void {
    if (this.onProgress === undefined) return;
    const { filled, setAside } = this.#sum();
    const elapsed = performance.now() - this.#began;
    const left = Math.max(0, this.total - filled - setAside);
    this.onProgress({
      phase,
      filled,
      total: this.total,
      setAside,
      rowsPerSecond: (filled * 1_000) / elapsed,
      remainingMs: filled === 0 ? undefined : (left * elapsed) / filled,
      reason,
    });
  }

  #sum() {
    const { filled, inPlace, setAside, writeMs, waitedMs, tokens } = this.#done;
    const now = this.#worker;
    return {
      filled: filled + (now?.worker.filled ?? 0),
      inPlace: inPlace + (now?.worker.inPlace ?? 0),
      setAside: setAside + (now?.worker.setAside ?? 0),
      writeMs: writeMs + (now?.worker.writeMs ?? 0),
      waitedMs: waitedMs + (now?.pacer.waitedMs ?? 0),
      tokens: tokens + (now?.embedder.tokens ?? 0),
    };
  }
}
