import { Embeddings } from "@langchain/core/embeddings";
import { vectorSpace } from "../../test/helpers/vector-space.js";

const POOL = 512;

/**
 * A model that answers at once: clustered vectors from a pool, each text's with marks of its own, so that a text is the
 * nearest to itself in every version and nothing is near in another's.
 */
export class PlantedEmbeddings extends Embeddings {
  readonly provider = "planted";
  readonly #pool: Float32Array[];

  constructor(
    readonly model: string,
    readonly dimensions: number,
    seed: number,
  ) {
    super({});
    const draw = vectorSpace({ dimensions, seed })(1);
    this.#pool = Array.from({ length: POOL }, draw);
  }

  get fingerprint(): string {
    return `planted/${this.model}@${this.dimensions}`;
  }

  override embedDocuments(texts: string[]): Promise<number[][]> {
    return Promise.resolve(texts.map((text) => this.vectorOf(numberOf(text))));
  }

  override embedQuery(text: string): Promise<number[]> {
    return Promise.resolve(this.vectorOf(numberOf(text)));
  }

  vectorOf(number: number): number[] {
    const vector = Array.from(this.#pool[number % POOL]!);
    for (let mark = 0; mark < 64; mark += 1) {
      const at = (number * 31 + mark * 97 + (number >> 4) * mark) % this.dimensions;
      vector[at]! += ((number >> (mark % 16)) & 1) === 0 ? 3 : -3;
    }
    return vector;
  }
}

/** The first number in a text, which is what its vector is made from. */
export function numberOf(text: string): number {
  return Number(/\d+/.exec(text)?.[0] ?? 0);
}
