import { Embeddings } from "@langchain/core/embeddings";
import { DIMENSIONS, vectorCode } from "./markers.js";
import { Random } from "../random.js";

/**
 * Vectors that tell whose they are: the first component is the code of the tenant that the text names as `tenant#<n>`,
 * the others follow from the text.
 */
export class LeakEmbeddings extends Embeddings {
  readonly model = "leak-suite";

  constructor() {
    super({});
  }

  embedDocuments(texts: string[]): Promise<number[][]> {
    return Promise.resolve(texts.map(vectorOf));
  }

  embedQuery(text: string): Promise<number[]> {
    return Promise.resolve(vectorOf(text));
  }
}

/** Another model of as many dimensions, which has the tenant's code in the same place. */
export class NextLeakEmbeddings extends Embeddings {
  constructor(readonly model = "leak-suite-next") {
    super({});
  }

  /** Under which a store has it among its embedders. */
  get fingerprint(): string {
    return `custom/${this.model}@${DIMENSIONS}`;
  }

  embedDocuments(texts: string[]): Promise<number[][]> {
    return Promise.resolve(texts.map((text) => vectorOf(text).map((value, index) => (index === 0 ? value : -value))));
  }

  async embedQuery(text: string): Promise<number[]> {
    const [vector] = await this.embedDocuments([text]);
    return vector!;
  }
}

/** `length === DIMENSIONS`. */
export function vectorOf(text: string): number[] {
  let hash = 2_166_136_261;
  for (const character of text) hash = Math.imul(hash ^ character.codePointAt(0)!, 16_777_619);
  const random = new Random(hash);
  const index = Number(/tenant#(\d+)/.exec(text)?.[1] ?? 0);
  return [vectorCode(index), ...Array.from({ length: DIMENSIONS - 1 }, () => Math.fround(random.next() - 0.5))];
}
