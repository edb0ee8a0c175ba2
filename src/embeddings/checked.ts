import { Embeddings, type EmbeddingsInterface } from "@langchain/core/embeddings";
import { DimensionMismatchError, InvalidVectorError } from "../errors.js";
import { identityOf } from "./identity.js";
import { mapBatches } from "./batches.js";
import { nameModel, type ModelLabel } from "./model-label.js";

/** No embedding has all its components below this; numbers that were decoded as if they were base64 do. */
const SMALLEST = 1e-30;

const FLOAT_CURE =
  "It comes of a server that answers numbers where OpenAI's client asked for base64: " +
  'create OpenAIEmbeddings with encodingFormat: "float".';

export interface CheckedEmbeddingsOptions {
  /** Names the embedder in errors. @defaultValue the class and model of the wrapped embedder */
  readonly label?: ModelLabel;
  /** Length that every vector must have. @defaultValue that of the first vector seen */
  readonly dimensions?: number;
  /** Texts handed to the wrapped embedder at a time. @defaultValue all */
  readonly batchSize?: number;
  /** Batches in flight at a time. @defaultValue 1 */
  readonly maxConcurrency?: number;
  /** Turns an error of the wrapped embedder into the one to throw. @defaultValue unchanged */
  readonly explain?: (error: unknown) => Error;
}

/**
 * Embeddings whose every reply has been checked: one vector per text, all of one length, all numbers finite,
 * not all of them zero.
 * A wrong vector would be stored without a sound and found by nobody.
 */
export class CheckedEmbeddings extends Embeddings {
  /** The wrapped embedder's provider, when it is known. */
  readonly provider: string | undefined;
  /** The wrapped embedder's model, when it says. */
  readonly model: string | undefined;
  /** Length of the vectors: as asked for, or as seen in the first reply. */
  dimensions: number | undefined;
  // Private to the language, so that neither inspect nor JSON shows the client and its key.
  readonly #inner: EmbeddingsInterface;
  readonly #options: CheckedEmbeddingsOptions;
  readonly #name: string;

  constructor(embeddings: EmbeddingsInterface, options: CheckedEmbeddingsOptions = {}) {
    super({});
    const identity = identityOf(embeddings);
    this.provider = options.label?.provider ?? identity.provider;
    this.model = options.label?.model ?? identity.model;
    this.dimensions = options.dimensions ?? identity.dimensions;
    this.#inner = embeddings;
    this.#options = options;
    this.#name = nameModel(options.label ?? { provider: embeddings.constructor.name, model: identity.model });
  }

  /**
   * @returns one vector per text, in the order of the texts; no request is made for no texts.
   * @throws InvalidVectorError when vectors are missing, empty, not finite or zero.
   * @throws DimensionMismatchError when the lengths differ from each other or from `dimensions`.
   */
  override async embedDocuments(texts: string[]): Promise<number[][]> {
    const { batchSize = texts.length, maxConcurrency = 1 } = this.#options;
    return await mapBatches(texts, batchSize, maxConcurrency, async (batch, from) => {
      const vectors: unknown = await this.#call(() => this.#inner.embedDocuments(batch));
      if (!Array.isArray(vectors) || vectors.length !== batch.length) {
        const got = Array.isArray(vectors) ? `${vectors.length} vectors` : "no list of vectors";
        throw new InvalidVectorError(
          `${this.#name} answered ${got} for ${batch.length} texts. Lower batchSize, or check what answers at the base URL.`,
        );
      }
      return vectors.map((vector, at) => this.#check(vector, `text ${from + at + 1} of ${texts.length}`));
    });
  }

  /** @throws InvalidVectorError, DimensionMismatchError as `embedDocuments`. */
  override async embedQuery(text: string): Promise<number[]> {
    const vector: unknown = await this.#call(() => this.#inner.embedQuery(text));
    return this.#check(vector, "the query");
  }

  async #call<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw this.#options.explain?.(error) ?? error;
    }
  }

  #check(answer: unknown, what: string): number[] {
    const vector: unknown = answer instanceof Float32Array ? Array.from(answer) : answer;
    if (!Array.isArray(vector) || vector.length === 0) {
      throw new InvalidVectorError(`${this.#name} answered an empty vector for ${what}. ${FLOAT_CURE}`);
    }
    const at = vector.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) {
      throw new InvalidVectorError(
        `${this.#name} answered ${String(vector[at])} at position ${at} of the vector for ${what}. ` +
          `Every component must be a finite number: look at the model and its precision (half precision can overflow).`,
      );
    }
    if (vector.every((value) => Math.abs(value as number) < SMALLEST)) {
      throw new InvalidVectorError(
        `${this.#name} answered a vector of zeros for ${what}, which has no direction and is near to nothing. ${FLOAT_CURE}`,
      );
    }
    this.dimensions ??= vector.length;
    if (vector.length !== this.dimensions) {
      const { length } = vector;
      throw new DimensionMismatchError(
        `${this.#name} answered ${length} dimensions for ${what} where ${this.dimensions} were expected. ` +
          `Use the model's own number of dimensions, or a model and server that honour the one asked for.`,
        this.dimensions,
        length,
      );
    }
    return vector as number[];
  }
}
