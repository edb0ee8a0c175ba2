import type { Metric } from "../../schema/layout.js";

/** One record of another vector store. */
export interface SourceRecord {
  readonly id: string;
  readonly vector: readonly number[] | null;
  readonly document: string | null;
  readonly metadata: Record<string, unknown> | null;
  readonly uri: string | null;
}

/** Which of some ids are stored already, so that a resumed import need not read their records again. */
export type KnownIds = (ids: readonly string[]) => Promise<ReadonlySet<string>>;

/** A set of records with vectors of one model, to become one collection, table, tenant or metadata value. */
export interface SourceCollection {
  readonly name: string;
  /** `undefined` when it is empty. */
  readonly dimensions: number | undefined;
  readonly metric: Metric;
  readonly provider: string | undefined;
  readonly model: string | undefined;
  /** Kept as the metadata of the collection. */
  readonly metadata: Record<string, unknown>;
  /** Tells this collection from one that had its name before. */
  readonly fingerprint: string;
  /** `undefined` when only reading tells. */
  count(): Promise<number | undefined>;
  /** The records, each once, at most `rows` at a time; those that are known are left out. */
  pages(rows: number, known?: KnownIds): AsyncGenerator<SourceRecord[], void>;
  /** Ids nearest to each vector, nearest first; absent where the source cannot search. */
  nearest?(vectors: readonly (readonly number[])[], k: number): Promise<string[][]>;
}

/** Where records come from. */
export interface RecordSource {
  /** For people, without credentials. */
  readonly label: string;
  /** All collections, or those of the names, in their order. @throws when one is not there. */
  collections(names: readonly string[] | undefined): Promise<SourceCollection[]>;
}

/** Runs one page ahead of whoever consumes, so that reading and writing overlap. */
export async function* readAhead<T>(pages: AsyncGenerator<T, void>): AsyncGenerator<T, void> {
  let next = pages.next();
  // A failure is reported when its turn comes; until then it is not an unhandled one.
  next.catch(() => undefined);
  try {
    for (;;) {
      const { done, value } = await next;
      if (done) return;
      next = pages.next();
      next.catch(() => undefined);
      yield value;
    }
  } finally {
    await next.catch(() => undefined);
    await pages.return();
  }
}
