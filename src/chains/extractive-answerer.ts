import type { DocumentInterface } from "@langchain/core/documents";
import { Runnable, type RunnableConfig } from "@langchain/core/runnables";
import { ConfigurationError } from "../errors.js";
import { citationOf, type Citation } from "./citation.js";
import { requireQuestion } from "./question.js";
import { rankSentences, type RankedSentence } from "./sentence-ranking.js";

/** Options of {@link ExtractiveAnswerer}. */
export interface ExtractiveAnswererOptions {
  /**
   * Most sentences in one answer.
   *
   * @defaultValue 3
   */
  maxSentences?: number;
  /**
   * Coverage of the question, 0..1, below which the answerer says that it does not know. Lower answers more, and more
   * often wrongly.
   *
   * @defaultValue 0.45
   */
  minCoverage?: number;
}

/** A question and the chunks to answer it from. */
export interface ExtractiveInput {
  input: string;
  context: DocumentInterface[];
}

/** What the answerer found. */
export interface ExtractiveAnswer {
  /** The quoted sentences, each followed by its `[n]`, or a sentence that begins with "I don't know". */
  answer: string;
  /** One for each quoted sentence, in the order of the answer; empty when it abstained. */
  citations: Citation[];
  /** Whether the context does not cover the question well enough. */
  abstained: boolean;
}

/** Further sentences must cover nearly as much of the question as the best one. */
const RUNNER_UP_SHARE = 0.8;

/**
 * Answers a question with sentences quoted word for word from the context; it needs no model and invents nothing.
 *
 * It takes the sentences that hold most of the question's content words, and abstains when even the best one covers
 * less than `minCoverage` of them: coverage is the formula of {@link rankSentences}. Headings, code fences and table
 * rules are never quoted. Instructions inside the context have no effect, for it is only ever quoted.
 *
 * @example
 * ```ts
 * const { answer, citations } = await new ExtractiveAnswerer().invoke({ input: "What is HNSW?", context: documents });
 * ```
 */
export class ExtractiveAnswerer extends Runnable<ExtractiveInput, ExtractiveAnswer> {
  static override lc_name(): string {
    return "ExtractiveAnswerer";
  }

  lc_namespace = ["langchain_pgvector", "chains"];

  readonly maxSentences: number;
  readonly minCoverage: number;

  /** @throws {@link ConfigurationError} when an option is out of range */
  constructor(options: ExtractiveAnswererOptions = {}) {
    const { maxSentences = 3, minCoverage = 0.45 } = options;
    super();
    if (!Number.isInteger(maxSentences) || maxSentences < 1) {
      throw new ConfigurationError(`maxSentences is ${String(maxSentences)}; give a whole number of at least 1.`);
    }
    if (!(minCoverage >= 0 && minCoverage <= 1)) {
      throw new ConfigurationError(`minCoverage is ${String(minCoverage)}; give a number from 0 to 1.`);
    }
    this.maxSentences = maxSentences;
    this.minCoverage = minCoverage;
  }

  /** @throws {@link ConfigurationError} when the question is empty */
  override invoke(input: ExtractiveInput, config?: Partial<RunnableConfig>): Promise<ExtractiveAnswer> {
    return this._callWithConfig((value: ExtractiveInput) => Promise.resolve(this.#answer(value)), input, config);
  }

  /** The answer sentence by sentence, then the citations; the chunks add up to what `invoke` returns. */
  override async *_streamIterator(
    input: ExtractiveInput,
    config?: Partial<RunnableConfig>,
  ): AsyncGenerator<ExtractiveAnswer> {
    const { answer, citations, abstained } = await this.invoke(input, config);
    for (const piece of answer.split(/(?<=\])(?= )/)) yield { answer: piece } as ExtractiveAnswer;
    yield { citations, abstained } as ExtractiveAnswer;
  }

  async #answer({ input, context }: ExtractiveInput): Promise<ExtractiveAnswer> {
    const question = requireQuestion(input);
    if (context.length === 0) return abstention("no passage was found for this question.");
    const ranked = rankSentences(question, context);
    const best = ranked[0];
    if (!best || best.coverage < this.minCoverage) {
      return abstention(`none of the ${context.length} passages found speaks of what the question asks.`);
    }
    const citations = this.#chosen(ranked, best, context);
    const answer = citations.map(({ quote, index }) => `${quote.replace(/\s+/g, " ")} [${index}]`).join(" ");
    return { answer, citations, abstained: false };
  }

  #chosen(ranked: readonly RankedSentence[], best: RankedSentence, context: readonly DocumentInterface[]): Citation[] {
    // Overlapping chunks hold the same sentence twice; it is quoted once.
    const byQuote = new Map<string, Citation>();
    for (const { coverage, passage, start, end } of ranked) {
      if (byQuote.size === this.maxSentences || coverage < this.minCoverage) break;
      if (coverage < RUNNER_UP_SHARE * best.coverage) break;
      const citation = citationOf(context[passage]!, passage + 1, { start, end });
      if (!byQuote.has(citation.quote)) byQuote.set(citation.quote, citation);
    }
    return [...byQuote.values()];
  }
}

function abstention(reason: string): ExtractiveAnswer {
  return { answer: `I don't know: ${reason}`, citations: [], abstained: true };
}
