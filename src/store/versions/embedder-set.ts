import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import { CountedEmbeddings } from "../../embeddings/counted.js";
import { identityOf, type EmbedderIdentity } from "../../embeddings/identity.js";
import { ConfigurationError } from "../../errors.js";
import type { RegisteredModel } from "../../schema/layout.js";
import type { Activity } from "../../telemetry/activity.js";
import type { Logger } from "../logger.js";
import { isSameModel, probeLength, probeModel } from "./probe.js";
import { VersionEmbedder } from "./version-embedder.js";

interface Candidate {
  readonly embeddings: EmbeddingsInterface;
  readonly counted: CountedEmbeddings;
  /** Under which `embedders` has it; `undefined` for the store's own. */
  readonly key: string | undefined;
  readonly identity: EmbedderIdentity;
}

/** The embedders of one process, and which of a store's model versions each of them is. */
export class EmbedderSet {
  readonly #candidates: readonly Candidate[];

  /** @param name of the main embedder's model, when the options say it. */
  constructor(
    main: EmbeddingsInterface | undefined,
    name: string | undefined,
    further: Readonly<Record<string, EmbeddingsInterface>>,
    private readonly logger: Logger,
    activity: Activity,
  ) {
    const candidate = (embeddings: EmbeddingsInterface, key: string | undefined): Candidate => ({
      embeddings,
      counted: new CountedEmbeddings(embeddings, activity),
      key,
      identity: key === undefined ? named(identityOf(embeddings), name) : identityOf(embeddings),
    });
    const own = main === undefined ? [] : [candidate(main, undefined)];
    const others = Object.entries(further).map(([key, embeddings]) => candidate(embeddings, key));
    this.#candidates = [...own, ...others];
  }

  /** Whether the store has no embedder of its own: it is open for administration, and reads the active version. */
  get administers(): boolean {
    return !this.#candidates.some(({ key }) => key === undefined);
  }

  /** What the embedders at hand call themselves, for messages. */
  get label(): string {
    return this.#candidates
      .map(
        ({ key, identity }) =>
          key ?? (identity.model === undefined ? "one without a name" : JSON.stringify(identity.model)),
      )
      .join(", ");
  }

  /** The embedder of each version, if it is here. Embeds the probe text where names do not tell. */
  async assign(versions: readonly RegisteredModel[]): Promise<(VersionEmbedder | undefined)[]> {
    for (const version of versions) this.#checkKeys(version);
    return Promise.all(
      versions.map(async (version) => {
        for (const candidate of this.#candidates) {
          if (!(await this.#isOf(candidate, version, versions))) continue;
          return new VersionEmbedder(candidate.counted, candidate.key === undefined, version);
        }
        return undefined;
      }),
    );
  }

  /** @throws ConfigurationError for an embedder under the fingerprint of another model. */
  #checkKeys(version: RegisteredModel): void {
    const wrong = this.#candidates.find(
      ({ key, identity }) => key === version.fingerprint && compareNames(identity, version) === "different",
    );
    if (wrong === undefined) return;
    throw new ConfigurationError(
      `embedders: the one under ${JSON.stringify(wrong.key)} is the model ${JSON.stringify(wrong.identity.model)}. ` +
        "Put each embedder under the fingerprint of its own version, as `models list` shows it.",
    );
  }

  async #isOf(candidate: Candidate, version: RegisteredModel, all: readonly RegisteredModel[]): Promise<boolean> {
    const { key, identity } = candidate;
    const names = compareNames(identity, version);
    if (key !== undefined) {
      const source = all.find((other) => other.version === version.derivedFrom)?.fingerprint;
      if (key !== version.fingerprint && key !== source) return false;
      return names === "same" || (await this.#answersLike(candidate, version, true));
    }
    if (names === "different") return false;
    const lengths = [version.dimensions, version.fullDimensions];
    if (names === "same") {
      if (identity.dimensions !== undefined) return lengths.includes(identity.dimensions) || all.length === 1;
      const ambiguous = all.some(
        (other) => other.model === version.model && other.fullDimensions !== version.fullDimensions,
      );
      if (!ambiguous) return true;
      return (await this.#probe(candidate.embeddings))?.length === version.fullDimensions;
    }
    return this.#answersLike(candidate, version, all.length === 1);
  }

  /** Whether an embedder answers the probe as the version's model did; `unknown` when that cannot be told. */
  async #answersLike({ embeddings }: Candidate, version: RegisteredModel, unknown: boolean): Promise<boolean> {
    if (version.probe === undefined) return unknown;
    const vector = await this.#probe(embeddings);
    // Of another length: every use of it will say so, and name both lengths.
    if (vector === undefined || (unknown && vector.length !== probeLength(version.probe))) return unknown;
    return isSameModel(vector, version.probe);
  }

  #probe(embeddings: EmbeddingsInterface): Promise<readonly number[] | undefined> {
    return probeModel(embeddings).catch((error: unknown) => {
      this.logger.warn(
        `langchain-pgvector: an embedder without a name could not be asked which model it is: ${String(error)}`,
      );
      return undefined;
    });
  }
}

function compareNames(identity: EmbedderIdentity, version: RegisteredModel): "same" | "different" | "unknown" {
  if (identity.model === undefined || version.model === undefined) return "unknown";
  if (identity.model !== version.model) return "different";
  // The provider may differ: one model is served by many.
  return "same";
}

function named(identity: EmbedderIdentity, name: string | undefined): EmbedderIdentity {
  return name === undefined ? identity : { ...identity, model: name };
}
