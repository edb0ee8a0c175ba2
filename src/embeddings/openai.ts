import { OpenAIEmbeddings } from "@langchain/openai";
import { InvalidVectorError } from "../errors.js";

/** An element of `data` in OpenAI's reply; servers leave out what they please. */
interface ReplyItem {
  readonly index?: unknown;
  readonly embedding?: unknown;
}

/**
 * `OpenAIEmbeddings` that reads the reply with care. The base class takes the vectors as they come, whatever their `index`,
 * fails with a `TypeError` when some are missing, and makes empty vectors of numbers that come where base64 was asked.
 * Needs `encodingFormat` to be set, as the client decodes base64 by itself otherwise.
 */
export class CarefulOpenAIEmbeddings extends OpenAIEmbeddings {
  // The types of request and reply belong to the client's package, which is not ours to import; `never` fits both.
  protected override async embeddingWithRetry(request: { input: unknown }): Promise<never> {
    const reply = await super.embeddingWithRetry(request as never);
    const wanted = Array.isArray(request.input) ? request.input.length : 1;
    return { ...reply, data: inOrder(reply, wanted, `openai ${this.model}`) } as never;
  }
}

/**
 * The vectors of a reply in the order of the request's texts.
 *
 * @throws InvalidVectorError when the reply has no list of vectors or not one for every text.
 */
function inOrder(reply: unknown, wanted: number, name: string): { index: number; embedding: unknown }[] {
  const data: unknown = typeof reply === "object" && reply !== null && "data" in reply ? reply.data : undefined;
  if (!Array.isArray(data)) {
    throw new InvalidVectorError(
      `${name}: the answer has no list of vectors (data). Does the base URL lead to a server of OpenAI's format (…/v1)?`,
    );
  }
  if (data.length !== wanted) {
    throw new InvalidVectorError(
      `${name} answered ${data.length} vectors for ${wanted} texts. Lower batchSize, or check what answers at the base URL.`,
    );
  }
  const items = data.map((item: ReplyItem | null, position) => ({
    index: typeof item?.index === "number" ? item.index : position,
    embedding: decode(item?.embedding),
  }));
  items.sort((one, other) => one.index - other.index);
  return items;
}

/** Numbers stay as they are; base64 holds 32-bit floats, little-endian. */
function decode(embedding: unknown): unknown {
  if (typeof embedding !== "string") return embedding;
  const bytes = Buffer.from(embedding, "base64");
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, at) => bytes.readFloatLE(at * 4));
}
