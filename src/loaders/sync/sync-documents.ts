import { LoadError } from "../../errors.js";
import type { PostgresVectorStore } from "../../store/postgres-vector-store.js";
import { integer } from "../../store/options.js";
import type { SourceState } from "../../store/sources/records.js";
import { callerOf, observeCall } from "../../telemetry/observe.js";
import { findSources, type FoundSource } from "../find-sources.js";
import { resolveLoading } from "../load-documents.js";
import { hashBytes, readSource } from "../read-source.js";
import type { SyncOptions, SyncResult } from "./options.js";
import { prepareSource, settingsOf, type PreparedSource } from "./prepare.js";
import { storedSources } from "./scope.js";
import { writeGroup } from "./write-group.js";

/** Enough that many small files share a transaction and a call of the embedder. */
const BATCH_CHUNKS = 256;
/** Another run has the better of this one once or twice; more often, and something is wrong. */
const MAX_ATTEMPTS = 20;

/**
 * Makes a store hold what files, folders, patterns, web pages and standard input hold: loads, splits, embeds and stores
 * what is new or changed, and removes what is gone from the named folders and patterns. A source whose bytes have not
 * changed since the last run costs a read and a hash; a renamed one no embedding.
 *
 * Each source changes in one transaction (a very large one in several, the last of which completes it). A run that was
 * killed is completed by the next; runs at the same time end in the same state as one.
 *
 * @example
 * ```ts
 * const { embedded, removed } = await syncDocuments(store, ["docs", "README.md"]);
 * ```
 *
 * @throws LoadError when a path does not exist that the store does not know either; sources that cannot be read are
 * reported to `onSkip`.
 * @throws ConfigurationError for options that cannot work, before any I/O.
 * @throws the signal's reason when it is aborted; what was written stays, and the next run goes on there.
 */
export async function syncDocuments(
  store: PostgresVectorStore,
  source: string | readonly string[],
  options: SyncOptions = {},
): Promise<SyncResult> {
  const run = new Run(store, typeof source === "string" ? [source] : [...source], options);
  return observeCall(store, "syncDocuments", () => run.go());
}

class Run {
  readonly #loading;
  readonly #settings: string;
  readonly #batchChunks: number;
  readonly #total = { files: 0, unchanged: 0, removedFiles: 0, chunks: 0, embedded: 0, removed: 0, skipped: 0 };
  #found = 0;

  constructor(
    private readonly store: PostgresVectorStore,
    private readonly wanted: readonly string[],
    private readonly options: SyncOptions,
  ) {
    this.#loading = resolveLoading(options);
    this.#settings = settingsOf(options, this.#loading.parse, options.format);
    this.#batchChunks = integer("batchChunks", options.batchChunks, 1, 10_000) ?? BATCH_CHUNKS;
  }

  async go(): Promise<SyncResult> {
    const { wanted, options } = this;
    const { cwd } = this.#loading;
    options.signal?.throwIfAborted();
    // Before the folders are listed: what appears in the store from now on is not taken for deleted.
    const stored = await storedSources(this.store.sources, wanted, cwd);
    const found = await findSources(wanted, cwd, options.format);
    for (const { source, error } of found.missing) {
      if (!(await this.#knows(source, stored))) throw error;
    }
    for (const link of found.links) this.#skip(link);
    this.#found = found.sources.length;
    let group: FoundSource[] = [];
    let prepared: PreparedSource[] = [];
    let size = 0;
    for (const each of found.sources) {
      const changed = await this.#prepare(each, stored.get(each.name));
      if (changed === undefined) continue;
      // One that is larger than a batch is written in several transactions, and so alone.
      if (size > 0 && size + changed.chunks.length > this.#batchChunks) {
        await this.#write(group, prepared);
        [group, prepared, size] = [[], [], 0];
      }
      group.push(each);
      prepared.push(changed);
      size += Math.max(1, changed.chunks.length);
    }
    await this.#write(group, prepared);
    if (options.deleted !== "keep") await this.#removeGone(stored, new Set(found.sources.map(({ name }) => name)));
    return { ...this.#total, unsupported: found.unsupported };
  }

  async #knows(source: string, stored: ReadonlyMap<string, SourceState>): Promise<boolean> {
    const own = await storedSources(this.store.sources, [source], this.#loading.cwd);
    return [...own.keys()].some((name) => stored.has(name));
  }

  /** `undefined` when the source has not changed or cannot be read. */
  async #prepare(found: FoundSource, stored: SourceState | undefined): Promise<PreparedSource | undefined> {
    const { options } = this;
    const { read, parse } = this.#loading;
    options.signal?.throwIfAborted();
    try {
      const raw = await readSource(found, read);
      const hash = hashBytes(raw.bytes);
      const changed =
        hash !== stored?.hash || this.#settings !== stored.settings || stored.present < stored.chunks
          ? await prepareSource(raw, hash, this.#settings, options, parse)
          : undefined;
      this.#total.files += 1;
      if (changed === undefined) {
        this.#total.unchanged += 1;
        this.#total.chunks += stored?.chunks ?? 0;
        callerOf(this.store)?.activity.countChunks("skipped", stored?.chunks ?? 0);
      }
      for (const message of changed?.notes ?? []) options.onNote?.({ source: found.name, message });
      return changed;
    } catch (error) {
      if (!(error instanceof LoadError)) throw error;
      this.#skip({ source: found.name, error });
      return undefined;
    } finally {
      this.#report();
    }
  }

  async #write(found: readonly FoundSource[], prepared: readonly PreparedSource[]): Promise<void> {
    const { store, options } = this;
    let group = prepared;
    for (let attempt = 1; group.length > 0; attempt += 1) {
      const result = await writeGroup(store, group, {
        batchChunks: this.#batchChunks,
        cache: options.cache ?? false,
        signal: options.signal,
        onEmbedded: (chunks) => {
          this.#total.embedded += chunks;
          this.#report();
        },
      });
      if (result.written) {
        this.#total.removed += result.removed;
        for (const { name, chunks } of group) {
          this.#total.chunks += chunks.length;
          options.onSource?.({ source: name, chunks: chunks.length });
        }
        return;
      }
      if (attempt === MAX_ATTEMPTS) {
        const names = group.map(({ name }) => name).join(", ");
        throw new LoadError(`${names}: other writers changed this ${attempt} times meanwhile; run it again.`, names);
      }
      group = await this.#again(found);
    }
  }

  /** Reads sources again that another run has written, since theirs may be the newer bytes. */
  async #again(found: readonly FoundSource[]): Promise<PreparedSource[]> {
    const names = found.map(({ name }) => name);
    const stored = new Map((await this.store.sources.find(names)).map((each) => [each.source, each]));
    const prepared: PreparedSource[] = [];
    for (const each of found) {
      // Counted the first time.
      this.#total.files -= 1;
      const changed = await this.#prepare(each, stored.get(each.name));
      if (changed !== undefined) prepared.push(changed);
    }
    return prepared;
  }

  async #removeGone(stored: ReadonlyMap<string, SourceState>, found: ReadonlySet<string>): Promise<void> {
    for (const state of stored.values()) {
      if (found.has(state.source)) continue;
      this.options.signal?.throwIfAborted();
      const removed = await this.store.sources.remove(state);
      if (removed === undefined) continue;
      this.#total.removedFiles += 1;
      this.#total.removed += removed;
      this.options.onRemove?.(state.source);
    }
  }

  #skip(skipped: { source: string; error: LoadError }): void {
    this.#total.skipped += 1;
    this.options.onSkip?.(skipped);
  }

  #report(): void {
    const { files, skipped, embedded } = this.#total;
    this.options.onProgress?.({ found: this.#found, done: files + skipped, embedded });
  }
}
