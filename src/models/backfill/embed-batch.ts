import { orAbort } from "../../db/abort.js";
import { pause } from "../../db/pause.js";
import { failureOf, mayPass } from "../../embeddings/failure.js";
import { RateLimit } from "../../embeddings/rate-limit.js";
import { ModelProviderError } from "../../errors.js";
import { checkVector } from "../../store/vectors.js";
import { checkVectorCount } from "../../store/versions/vectors-for.js";
import type { LiveVersion } from "../../store/versions/store-models.js";
import type { BackfillPlan } from "./options.js";

const CHARACTERS_PER_TOKEN = 4;
/** Tells an embedder that has stopped working from a text that it cannot embed. */
const CONTROL_TEXT = "How many dimensions does this model have?";
const LONGEST_BACKOFF_MS = 60_000;
/** Tokens are taken from the limit by the thousand. */
const TOKENS_PER_TICKET = 1_000;

/** What became of one text: its vector, or why it has none. */
export type Embedded = { readonly vector: ArrayLike<number> } | { readonly fault: Error };

/** Embeds texts for a backfill: within the rates, with patience, and so that one bad text costs no other its vector. */
export class BatchEmbedder {
  tokens = 0;
  readonly #requests: RateLimit | undefined;
  readonly #tokens: RateLimit | undefined;

  constructor(
    private readonly version: LiveVersion,
    private readonly plan: BackfillPlan,
    private readonly signal: AbortSignal | undefined,
  ) {
    const { requestsPerMinute, tokensPerMinute } = plan;
    this.#requests = requestsPerMinute === undefined ? undefined : new RateLimit(requestsPerMinute, 60_000);
    this.#tokens =
      tokensPerMinute === undefined
        ? undefined
        : new RateLimit(Math.max(1, Math.floor(tokensPerMinute / TOKENS_PER_TICKET)), 60_000);
  }

  /** Whether the call has sent as many tokens as it may. */
  get spent(): boolean {
    return this.plan.tokenBudget !== undefined && this.tokens >= this.plan.tokenBudget;
  }

  /** @throws the embedder's error when it may pass and has not passed, or is not about the texts. */
  async embed(texts: readonly string[]): Promise<Embedded[]> {
    const { batchTexts } = this.plan;
    const parts: Embedded[] = [];
    for (let start = 0; start < texts.length; start += batchTexts) {
      parts.push(...(await this.#embedPart(texts.slice(start, start + batchTexts))));
    }
    return parts;
  }

  async #embedPart(texts: readonly string[]): Promise<Embedded[]> {
    let failure: unknown;
    for (let attempt = 0; attempt <= this.plan.retries; attempt += 1) {
      if (attempt > 0) await this.#backOff(attempt, failure);
      try {
        const found = (await this.#request(texts)).map((vector) => this.#checked(vector));
        if (texts.length > 1) return await this.#mended(texts, found);
        if ("vector" in found[0]!) return found;
        failure = found[0]!.fault;
      } catch (error) {
        this.signal?.throwIfAborted();
        if (isRefusal(error)) throw error;
        failure = error;
        if (isAboutTexts(error)) break;
      }
    }
    if (mayPass(failure) || failure instanceof TimeoutError) throw failure;
    if (texts.length === 1) {
      // An embedder that cannot do anything any more is no fault of this text.
      if (!(await this.#works())) throw failure;
      return [{ fault: failure as Error }];
    }
    // Divided until the text at fault stands alone.
    const middle = texts.length >>> 1;
    return [...(await this.#embedPart(texts.slice(0, middle))), ...(await this.#embedPart(texts.slice(middle)))];
  }

  /** Asks again for the vectors that cannot be stored. */
  async #mended(texts: readonly string[], found: readonly Embedded[]): Promise<Embedded[]> {
    const mended: Embedded[] = [];
    for (const [index, one] of found.entries()) {
      mended.push(...("vector" in one ? [one] : await this.#embedPart([texts[index]!])));
    }
    return mended;
  }

  async #works(): Promise<boolean> {
    try {
      const [vector] = await this.#request([CONTROL_TEXT]);
      return "vector" in this.#checked(vector!);
    } catch {
      this.signal?.throwIfAborted();
      return false;
    }
  }

  #backOff(attempt: number, error: unknown): Promise<void> {
    const backoff = 125 * 2 ** attempt * (0.5 + Math.random());
    const wait = Math.min(LONGEST_BACKOFF_MS, failureOf(error).retryAfterMs ?? backoff);
    return this.version.embedder!.source.retry(pause(wait, this.signal));
  }

  #checked(raw: ArrayLike<number>): Embedded {
    try {
      const vector = this.version.embedder!.fit(raw);
      checkVector(vector, this.version, this.version.metric, () => "The vector that came");
      return { vector };
    } catch (error) {
      return { fault: error as Error };
    }
  }

  async #request(texts: readonly string[]): Promise<ArrayLike<number>[]> {
    const embedder = this.version.embedder!;
    const asked = texts.map((text) => embedder.textOf(text));
    const tokens = Math.ceil(asked.reduce((sum, text) => sum + text.length, 0) / CHARACTERS_PER_TOKEN);
    const { source } = embedder;
    await source.hold(this.#requests?.take(this.signal));
    for (let ticket = 0; ticket < tokens; ticket += TOKENS_PER_TICKET) {
      await source.hold(this.#tokens?.take(this.signal));
    }
    this.signal?.throwIfAborted();
    this.tokens += tokens;
    const vectors = await this.#timed(source.embedDocuments(asked));
    checkVectorCount(vectors.length, texts.length);
    return vectors;
  }

  async #timed<T>(work: Promise<T>): Promise<T> {
    const { timeoutMs } = this.plan;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new TimeoutError(`No answer came within ${timeoutMs} ms.`)), timeoutMs);
    });
    try {
      return await orAbort(Promise.race([work, late]), this.signal);
    } finally {
      clearTimeout(timer);
    }
  }
}

class TimeoutError extends Error {}

/** Whether the server refused who asked, which no other text would change, and not what was asked. */
function isRefusal(error: unknown): boolean {
  const { status } = failureOf(error);
  return status === 401 || status === 402 || status === 403 || status === 404;
}

/** Whether it refused what it was given, and would refuse it again. */
function isAboutTexts(error: unknown): boolean {
  const status = error instanceof ModelProviderError ? error.status : failureOf(error).status;
  return status === 400 || status === 413 || status === 422;
}
