import { UnknownModelError } from "../../errors.js";
import type { RegisteredModel } from "../../schema/layout.js";
import type { StoredModels } from "../../schema/stored-models.js";
import type { EmbedderSet } from "./embedder-set.js";
import type { VersionEmbedder } from "./version-embedder.js";

/** A model version that is written to. */
export interface LiveVersion extends RegisteredModel {
  /** `undefined` where this process does not have it. */
  readonly embedder: VersionEmbedder | undefined;
}

/** The model versions of an open store as this process sees them in one epoch. */
export interface StoreModels {
  readonly epoch: number;
  readonly overrides: boolean;
  /** All that are written to, the oldest first. */
  readonly live: readonly LiveVersion[];
  /** What texts are searched by: the active version, or one that is retiring where its embedder alone is here. */
  readonly reading: LiveVersion;
  /** What the caller's own vectors are compared with: a version of the main embedder. */
  readonly readingVectors: LiveVersion | undefined;
}

/**
 * Finds what this process reads and writes.
 *
 * @throws UnknownModelError when it has the embedder of no version that could be read.
 */
export async function viewModels(stored: StoredModels, embedders: EmbedderSet, table: string): Promise<StoreModels> {
  const assigned = await embedders.assign(stored.models);
  const live = stored.models.map((model, index) => ({ ...model, embedder: assigned[index] }));
  const active = live.find(({ state }) => state === "active");
  if (active === undefined)
    throw new UnknownModelError(`The table ${JSON.stringify(table)} has no active model version.`);
  const reading = embedders.administers ? active : readable(live, ({ embedder }) => embedder !== undefined);
  if (reading === undefined) throw missingEmbedder(active, live, embedders, table);
  const readingVectors = embedders.administers ? active : readable(live, ({ embedder }) => embedder?.main === true);
  return { epoch: stored.epoch, overrides: stored.overrides, live, reading, readingVectors };
}

/** The active version, else the youngest retiring one, of those that pass. */
function readable(live: readonly LiveVersion[], passes: (version: LiveVersion) => boolean): LiveVersion | undefined {
  const able = live.filter(passes);
  return able.find(({ state }) => state === "active") ?? able.findLast(({ state }) => state === "retiring");
}

/** What is wrong with a process that lacks an embedder: names both models. */
function missingEmbedder(
  active: LiveVersion,
  live: readonly LiveVersion[],
  embedders: EmbedderSet,
  table: string,
): UnknownModelError {
  const name = active.model === undefined ? active.fingerprint : active.model;
  const coming = live.find((version) => version.embedder !== undefined);
  const hint =
    coming === undefined
      ? "Vectors of two models must not be compared: use the first model, another table, or change the model with: npx langchain-pgvector models add"
      : `Its version ${coming.version} is ${coming.state}; until the cut-over, give the first one's embedder too, in \`embedders\`.`;
  return new UnknownModelError(
    `The table ${JSON.stringify(table)} was filled by the embedding model ${JSON.stringify(name)}, the embedder at hand is ` +
      `${embedders.label}. ${hint}`,
  );
}

/** What to say where the caller's vectors could not be of any version that is searched. */
export function foreignVectors(models: StoreModels, table: string): UnknownModelError {
  const { reading } = models;
  return new UnknownModelError(
    `The table ${JSON.stringify(table)} is searched by the model ${JSON.stringify(reading.model ?? reading.fingerprint)}, of which ` +
      "the store's own embedder is not; a vector that you hand in is taken for one of that embedder. Search by text, or give " +
      "the store that model as its embedder.",
  );
}
