import type { Document } from "@langchain/core/documents";
import type { PostgresVectorStore } from "../../store/postgres-vector-store.js";
import type { StoredSource } from "../../store/sources/records.js";
import type { EmbeddedChunk } from "../../store/sources/write.js";
import type { PreparedSource } from "./prepare.js";
import { findVectors, type VectorFinder } from "./find-vectors.js";

export interface GroupResult {
  /** Whether the group was written; if not, somebody else has changed one of its sources since it was read. */
  readonly written: boolean;
  readonly embedded: number;
  readonly removed: number;
}

/**
 * Makes the store hold exactly these chunks of these sources. Chunks that are there keep their vectors and get their new
 * lines; the others are embedded outside of any transaction.
 *
 * Sources that fit into one batch are written in one transaction, so that a reader sees all of them as they were or as
 * they are. A larger one is listed first with all its chunks, written batch by batch, and completed with the last: when
 * that is interrupted, the next run finds every chunk that is there.
 */
export async function writeGroup(
  store: PostgresVectorStore,
  group: readonly PreparedSource[],
  options: VectorFinder & { readonly batchChunks: number; readonly onEmbedded?: (chunks: number) => void },
): Promise<GroupResult> {
  const before = new Map((await store.sources.find(group.map(({ name }) => name))).map((each) => [each.source, each]));
  const chunks = group.flatMap((source) => source.chunks);
  const there = await existing(store, chunks, options);
  const fresh = chunks.filter((chunk) => !there.has(chunk.id!));
  const wanted = new Set(chunks.map((chunk) => chunk.id!));
  const gone = [...before.values()].flatMap(({ chunkIds }) => chunkIds).filter((id) => !wanted.has(id));
  const expected = new Map([...before].map(([name, { version }]) => [name, version]));

  let embedded = 0;
  let last: EmbeddedChunk[] = [];
  const batches = Math.max(1, Math.ceil(fresh.length / options.batchChunks));
  for (let batch = 0; batch < batches; batch += 1) {
    options.signal?.throwIfAborted();
    const part = fresh.slice(batch * options.batchChunks, (batch + 1) * options.batchChunks);
    const found = part.length === 0 ? undefined : await findVectors(store, group, part, options);
    const number = found?.embedded ?? 0;
    embedded += number;
    if (number > 0) options.onEmbedded?.(number);
    last = part.map((document) => ({
      document,
      vector: found!.vectors.get(document.id!)!,
      modelVersion: found!.modelVersion,
    }));
    if (batch === batches - 1) break;
    const [source] = group;
    const version = await announce(store, source!, before.get(source!.name), expected);
    if (version === undefined || !(await store.sources.append({ source: source!.name, version }, last))) {
      return { written: false, embedded, removed: 0 };
    }
  }
  options.signal?.throwIfAborted();
  const written = await store.sources.commit({
    sources: group.map(({ name, hash, settings, chunks: all }) => ({
      source: name,
      expected: expected.get(name),
      hash,
      settings,
      chunkIds: all.map((chunk) => chunk.id!),
    })),
    added: last,
    kept: chunks.filter((chunk) => there.has(chunk.id!)),
    gone,
  });
  return written === undefined
    ? { written: false, embedded, removed: 0 }
    : { written: true, embedded, removed: gone.length };
}

/**
 * Lists all the chunks that a large source may have from now on, once. One that another run is writing with the same
 * chunks is joined instead of taken over, or two of them would stop each other for ever.
 *
 * @returns the version under which chunks can be appended; `undefined` when somebody was faster.
 */
async function announce(
  store: PostgresVectorStore,
  source: PreparedSource,
  before: StoredSource | undefined,
  expected: Map<string, string>,
): Promise<string | undefined> {
  const known = expected.get(source.name);
  if (known !== undefined && known !== before?.version) return known;
  const ids = source.chunks.map((chunk) => chunk.id!);
  const listed = new Set(before?.chunkIds);
  if (before !== undefined && before.hash === undefined && ids.every((id) => listed.has(id))) return before.version;
  const change = {
    source: source.name,
    expected: known,
    hash: undefined,
    settings: source.settings,
    chunkIds: [...new Set([...(before?.chunkIds ?? []), ...ids])],
  };
  const versions = await store.sources.commit({ sources: [change], added: [], kept: [], gone: [] });
  const version = versions?.get(source.name);
  if (version !== undefined) expected.set(source.name, version);
  return version;
}

async function existing(
  store: PostgresVectorStore,
  chunks: readonly Document[],
  { batchChunks, signal }: { readonly batchChunks: number; readonly signal?: AbortSignal | undefined },
): Promise<Set<string>> {
  const found = new Set<string>();
  const step = Math.max(batchChunks, 2_000);
  for (let start = 0; start < chunks.length; start += step) {
    signal?.throwIfAborted();
    const ids = chunks.slice(start, start + step).map((chunk) => chunk.id!);
    for (const { id } of await store.get({ ids, include: [] })) found.add(id);
  }
  return found;
}
