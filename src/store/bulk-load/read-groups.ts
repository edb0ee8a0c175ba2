import type { DocumentInterface } from "@langchain/core/documents";
import { orAbort } from "../../db/abort.js";
import { Breather } from "../../db/breather.js";
import type { VectorInput } from "../../db/sparse-vector.js";
import { IngestError } from "../../errors.js";
import { toChunkRow, type ChunkRow } from "../rows.js";
import type { BulkLoadItem, BulkLoadSource } from "./options.js";
import type { Checkpoint } from "./checkpoint.js";
import { isRowError, Rejects } from "./rejects.js";

/** A row of the source on its way into a batch. */
export interface SourceRow extends ChunkRow {
  /** Position in the source, from 0. */
  readonly row: number;
  /** Whether the id was given, and not made here. */
  readonly ownId: boolean;
  /** Hash of the content as the source gave it. */
  readonly sourceHash: Uint8Array;
  readonly vector: VectorInput | undefined;
}

/** Rows that follow each other. */
export interface Group {
  readonly rows: readonly SourceRow[];
  /** Rows of the source that have been read when this group has. */
  readonly end: number;
}

/** An earlier call has dealt with the row, and reported it if it had to. */
const IGNORED = new Rejects("skip", undefined);

/**
 * Reads the source in groups of `size` rows, those that cannot be rows left out by the policy. Reads no further than it
 * is asked for, and ends the source when it is left.
 *
 * @throws the signal's reason as soon as it fires, whatever the source is doing.
 */
export async function* readGroups(
  source: BulkLoadSource,
  options: {
    size: number;
    checkpoint: Checkpoint;
    rejects: Rejects;
    signal: AbortSignal | undefined;
  },
): AsyncGenerator<Group> {
  const { size, checkpoint, rejects, signal } = options;
  const skip = checkpoint.rowsDone;
  const breather = new Breather();
  let row = 0;
  let rows: SourceRow[] = [];
  for await (const item of untilAborted(source, signal)) {
    row += 1;
    if (row === skip) checkpoint.check(toSourceRow(item, row - 1, IGNORED));
    if (row <= skip) continue;
    const made = toSourceRow(item, row - 1, rejects);
    if (made !== undefined) rows.push(made);
    if (breather.due) await breather.breathe();
    if (rows.length < size) continue;
    yield { rows, end: row };
    rows = [];
  }
  if (row < skip) {
    throw new IngestError(
      `The checkpoint stands behind row ${skip} and the source has ${row}: it is not the source that the load began with.`,
    );
  }
  if (row > skip) yield { rows, end: row };
}

async function* untilAborted(source: BulkLoadSource, signal: AbortSignal | undefined): AsyncGenerator<BulkLoadItem> {
  if (signal === undefined) return yield* source;
  signal.throwIfAborted();
  if (Symbol.iterator in source) {
    for (const item of source) {
      signal.throwIfAborted();
      yield item;
    }
    return;
  }
  const iterator = source[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      const next = await orAbort(iterator.next(), signal);
      if (next.done === true) {
        ended = true;
        return;
      }
      yield next.value;
    }
  } finally {
    // Not waited for: the source may be in the middle of a step that never ends.
    if (!ended) iterator.return?.().catch(() => undefined);
  }
}

function toSourceRow(item: BulkLoadItem, row: number, rejects: Rejects): SourceRow | undefined {
  try {
    const { document, embedding } = partsOf(item, row);
    const chunk = toChunkRow(document, row);
    return { ...chunk, row, ownId: document.id !== undefined, sourceHash: chunk.contentHash, vector: embedding };
  } catch (error) {
    if (!isRowError(error)) throw error;
    rejects.reject(row, idOf(item), error);
    return undefined;
  }
}

function partsOf(item: BulkLoadItem, row: number): { document: DocumentInterface; embedding?: VectorInput } {
  if (typeof item !== "object" || item === null) {
    throw new IngestError(`it is ${item === null ? "null" : typeof item}, not a document.`, row);
  }
  if (item instanceof Error) throw new IngestError(item.message, row, { cause: item });
  if (!("document" in item)) return { document: item };
  if (typeof item.document !== "object" || (item.document as unknown) === null) {
    throw new IngestError(`its \`document\` is ${typeof item.document}, not a document.`, row);
  }
  // Asked for by its presence, so that a forgotten vector is not paid for at an embedding server.
  if (item.embedding === undefined || item.embedding === null) {
    throw new IngestError("it has a `document` and no `embedding`; give the document itself to have it embedded.", row);
  }
  return item;
}

function idOf(item: unknown): string | undefined {
  const { id, document } = (item ?? {}) as { id?: unknown; document?: { id?: unknown } | null };
  const given = document?.id ?? id;
  return typeof given === "string" ? given : undefined;
}
