import { randomUUID } from "node:crypto";
import type { DocumentInterface } from "@langchain/core/documents";
import type { Document } from "@langchain/core/documents";
import { VectorStore } from "@langchain/core/vectorstores";
import type { DeleteParams } from "../store/delete.js";

/** One search whose results were not the same, or that failed on the other store. */
export interface ReadDifference {
  readonly query: readonly number[];
  readonly k: number;
  readonly filter: unknown;
  /** Ids that only one of the stores returned, in its order. */
  readonly onlyPrimary: readonly string[];
  readonly onlySecondary: readonly string[];
  /** Largest difference of two scores of the same id. */
  readonly scoreError: number;
  /** What the other store failed with; the caller never sees it. */
  readonly error?: unknown;
}

export interface DualStoreOptions {
  /** Answers every call. */
  primary: VectorStore;
  /** Gets every write, and the reads that are compared. */
  secondary: VectorStore;
  /** Called after a search whose results differ; log it. */
  onDifference: (difference: ReadDifference) => void;
  /** Share of the searches that are compared. @defaultValue 1 */
  sampleRate?: number;
  /** Scores that differ by no more are equal, and documents within it of the last score may be others. @defaultValue 1e-4 */
  tolerance?: number;
}

/**
 * Two stores with the same content, for the weeks of a move: writes go to both with the same ids and vectors, searches
 * are answered by one and compared with the other in the background.
 */
export class DualStore extends VectorStore {
  declare FilterType: any;
  readonly #options: Required<DualStoreOptions>;
  readonly #pending = new Set<Promise<void>>();

  constructor(options: DualStoreOptions) {
    super(options.primary.embeddings, {});
    this.#options = { sampleRate: 1, tolerance: 1e-4, ...options };
  }

  override _vectorstoreType(): string {
    return "dual";
  }

  /** Embeds once and stores in both. Documents without an id get the same new one in both. */
  override async addDocuments(documents: DocumentInterface[], options?: { ids?: string[] }): Promise<string[]> {
    const vectors = await this.embeddings.embedDocuments(documents.map(({ pageContent }) => pageContent));
    return this.addVectors(vectors, documents, options);
  }

  /** @throws what either store throws; the primary is written first. */
  override async addVectors(
    vectors: number[][],
    documents: DocumentInterface[],
    options?: { ids?: string[] },
  ): Promise<string[]> {
    const ids = options?.ids ?? documents.map(({ id }) => id ?? randomUUID());
    const { primary, secondary } = this.#options;
    await primary.addVectors(vectors, documents, { ids });
    await secondary.addVectors(vectors, documents, { ids });
    return ids;
  }

  override async delete(params: DeleteParams): Promise<void> {
    await this.#options.primary.delete({ ...params });
    await this.#options.secondary.delete({ ...params });
  }

  override async similaritySearchVectorWithScore(
    query: number[],
    k: number,
    filter?: this["FilterType"],
  ): Promise<[Document, number][]> {
    const { primary, sampleRate } = this.#options;
    const found = (await primary.similaritySearchVectorWithScore(query, k, filter)) as [Document, number][];
    if (Math.random() < sampleRate) {
      const comparison = this.#compare(query, k, filter, found).finally(() => this.#pending.delete(comparison));
      this.#pending.add(comparison);
    }
    return found;
  }

  /** Resolves when the comparisons that are under way are done; call it before the process ends. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending);
  }

  async #compare(query: number[], k: number, filter: unknown, found: [Document, number][]): Promise<void> {
    const { secondary, onDifference, tolerance } = this.#options;
    const about = { query, k, filter };
    try {
      const other = (await secondary.similaritySearchVectorWithScore(query, k, filter as never)) as [
        Document,
        number,
      ][];
      const difference = differenceOf(found, other, tolerance);
      if (difference !== undefined) onDifference({ ...about, ...difference });
    } catch (error) {
      onDifference({ ...about, onlyPrimary: [], onlySecondary: [], scoreError: 0, error });
    }
  }
}

function differenceOf(
  primary: readonly [Document, number][],
  secondary: readonly [Document, number][],
  tolerance: number,
): Pick<ReadDifference, "onlyPrimary" | "onlySecondary" | "scoreError"> | undefined {
  const scores = new Map(secondary.map(([{ id }, score]) => [id!, score]));
  const shared = primary.filter(([{ id }]) => scores.has(id!));
  const scoreError = Math.max(0, ...shared.map(([{ id }, score]) => Math.abs(score - scores.get(id!)!)));
  const onlyPrimary = withoutTies(primary, new Set(scores.keys()), secondary.at(-1)?.[1], tolerance);
  const known = new Set(primary.map(([{ id }]) => id!));
  const onlySecondary = withoutTies(secondary, known, primary.at(-1)?.[1], tolerance);
  const same = onlyPrimary.length === 0 && onlySecondary.length === 0 && scoreError <= tolerance;
  return same && primary.length === secondary.length ? undefined : { onlyPrimary, onlySecondary, scoreError };
}

/** Ids that the other result lacks, except for those that tie with its last one. */
function withoutTies(
  found: readonly [Document, number][],
  known: ReadonlySet<string>,
  last: number | undefined,
  tolerance: number,
): string[] {
  return found
    .filter(([{ id }, score]) => !known.has(id!) && !(last !== undefined && Math.abs(score - last) <= tolerance))
    .map(([{ id }]) => id!);
}
