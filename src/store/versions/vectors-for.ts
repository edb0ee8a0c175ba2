import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import type { VectorInput } from "../../db/sparse-vector.js";
import { IngestError } from "../../errors.js";
import { checkIndexedElements } from "../indexed-elements.js";
import type { OpenStore } from "../open.js";
import { checkVector } from "../vectors.js";
import { foreignVectors, type LiveVersion } from "./store-models.js";

/** Vectors of one version, one for each row. */
export interface VersionVectors {
  readonly version: LiveVersion;
  readonly vectors: readonly VectorInput[];
}

export interface Embeddable {
  readonly id: string;
  readonly content: string;
}

/**
 * The vectors of rows for every version that is written to and whose embedder is here. What searches of this process
 * need must succeed; a version beside it that cannot be embedded now is left out, and its sweeper comes to the rows.
 *
 * @param given vectors of the main embedder, where the caller has them.
 * @param givenFor the version that they are of instead.
 * @throws DimensionMismatchError, InvalidVectorError, IngestError for vectors that cannot be stored.
 */
export async function vectorsFor(
  store: OpenStore,
  rows: readonly Embeddable[],
  given?: readonly VectorInput[],
  givenFor?: number,
): Promise<VersionVectors[]> {
  const { models, options } = store;
  const needed = given === undefined || givenFor !== undefined ? models.reading : models.readingVectors;
  if (needed === undefined) throw foreignVectors(models, options.layout.table);
  const requests = new Map<EmbeddingsInterface, Map<string, Promise<readonly ArrayLike<number>[]>>>();
  const found = models.live.map(async (version): Promise<VersionVectors | undefined> => {
    const { embedder } = version;
    const isGiven =
      givenFor === undefined ? embedder?.main === true || version === needed : version.version === givenFor;
    if (given !== undefined && isGiven) {
      return checked(
        store,
        version,
        rows,
        given.map((vector) => embedder?.fit(vector) ?? vector),
        version === needed,
      );
    }
    if (embedder === undefined) return undefined;
    const prefix = embedder.textOf("");
    const same = requests.get(embedder.source) ?? new Map<string, Promise<readonly ArrayLike<number>[]>>();
    requests.set(embedder.source, same);
    const request = same.get(prefix) ?? embedder.source.embedDocuments(rows.map(({ content }) => prefix + content));
    same.set(prefix, request);
    try {
      const vectors = await request;
      checkVectorCount(vectors.length, rows.length);
      return await checked(
        store,
        version,
        rows,
        vectors.map((vector) => embedder.fit(vector)),
        version === needed,
      );
    } catch (error) {
      if (version === needed) throw error;
      warn(store, version, error);
      return undefined;
    }
  });
  const settled = await Promise.allSettled(found);
  const failed = settled.find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return settled.flatMap((outcome) => (outcome.status === "fulfilled" && outcome.value ? [outcome.value] : []));
}

async function checked(
  store: OpenStore,
  version: LiveVersion,
  rows: readonly Embeddable[],
  vectors: readonly VectorInput[],
  needed: boolean,
): Promise<VersionVectors | undefined> {
  const metric = version.version === store.model.version ? store.options.metric : version.metric;
  const label = (index: number): string => `Vector ${index} (id ${JSON.stringify(rows[index]!.id)})`;
  try {
    vectors.forEach((vector, index) => checkVector(vector, version, metric, () => label(index)));
    await checkIndexedElements(store, version, vectors, label);
    return { version, vectors };
  } catch (error) {
    if (needed) throw error;
    warn(store, version, error);
    return undefined;
  }
}

function warn({ options }: OpenStore, { version, fingerprint }: LiveVersion, error: unknown): void {
  options.logger.warn(
    `langchain-pgvector: rows were stored without vectors of model version ${version} (${fingerprint}), to be embedded by its ` +
      `backfill: ${error instanceof Error ? error.message : String(error)}`,
  );
}

/** @throws IngestError unless there is one vector for each document. */
export function checkVectorCount(vectors: number, documents: number): void {
  if (vectors === documents) return;
  throw new IngestError(`${vectors} vectors came for ${documents} documents; there must be one for each.`);
}
