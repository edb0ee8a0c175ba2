import type { CallbackManagerForRetrieverRun } from "@langchain/core/callbacks/manager";
import type { DocumentInterface } from "@langchain/core/documents";
import type { LanguageModelLike } from "@langchain/core/language_models/base";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { BaseRetriever } from "@langchain/core/retrievers";
import { RunnableSequence, type Runnable, type RunnableConfig } from "@langchain/core/runnables";
import { ConfigurationError, FilterError } from "../errors.js";
import { parseFilter, type Filter } from "../store/filter/index.js";
import type { RetrieverFactory, RetrieverOptions } from "./retrieval-source.js";

/** A metadata key that questions may restrict. */
export interface FilterableAttribute {
  /** Key in the metadata; dots lead into nested objects. */
  name: string;
  type: "string" | "number" | "boolean" | "date";
  /** What it says about a document, and its values where they are few. */
  description: string;
}

/** Options of {@link createSelfQueryRetriever}. */
export type SelfQueryOptions = RetrieverOptions & {
  store: RetrieverFactory;
  /** Chat model that reads the restriction out of the question. */
  model: LanguageModelLike;
  /** What the documents are about. */
  contents: string;
  /** The keys that a filter may use, and no other. */
  attributes: readonly FilterableAttribute[];
};

const PROMPT = ChatPromptTemplate.fromMessages([
  [
    "system",
    `Split a question about documents into what to search for and a filter on their metadata.
The documents: {contents}
Keys of the metadata, the only ones that a filter may use:
{attributes}

Reply with one JSON object and nothing else: {{"query": "what to search for, without what the filter says", "filter": null or an object}}
Filters: {{"key": value}}, {{"key": {{"$gte": 2020}}}} with $eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, and {{"$and": [...]}}, {{"$or": [...]}}, {{"$not": ...}}.
Without a restriction in the question, the filter is null.`,
  ],
  ["human", "{input}"],
]);

/**
 * Makes a retriever that reads restrictions such as "in 2024" out of the question and searches with them as a filter. The
 * filter is checked against `attributes` and added to the store's own and to `filter`, so it can only narrow the search.
 * A reply that is none, or a filter that cannot be one, is reported to the callbacks (`handleText`), and the question is
 * searched for as it is.
 *
 * @throws {@link ConfigurationError} without attributes
 */
export function createSelfQueryRetriever(options: SelfQueryOptions): BaseRetriever {
  if (options.attributes.length === 0) throw new ConfigurationError("attributes is empty; name the keys to filter by.");
  return new SelfQueryRetriever(options);
}

class SelfQueryRetriever extends BaseRetriever {
  lc_namespace = ["langchain_pgvector", "chains"];
  readonly #options: SelfQueryOptions;
  readonly #split: Runnable<Record<string, string>, string>;
  /** That of the call, on the retriever that `invoke` makes for it. */
  declare readonly signal?: AbortSignal;

  constructor(options: SelfQueryOptions) {
    super();
    this.#options = options;
    this.#split = RunnableSequence.from([PROMPT, options.model, new StringOutputParser()], "self_query");
  }

  static override lc_name(): string {
    return "SelfQueryRetriever";
  }

  override async invoke(input: string, config?: Partial<RunnableConfig>): Promise<DocumentInterface[]> {
    const bound = new SelfQueryRetriever(this.#options);
    Object.defineProperty(bound, "signal", { value: config?.signal });
    return bound.#invoke(input, config);
  }

  #invoke(input: string, config?: Partial<RunnableConfig>): Promise<DocumentInterface[]> {
    return super.invoke(input, config);
  }

  override async _getRelevantDocuments(
    question: string,
    runManager?: CallbackManagerForRetrieverRun,
  ): Promise<DocumentInterface[]> {
    const { store, contents, attributes, k = 5, searchType, filter } = this.#options;
    const config = { callbacks: runManager?.getChild(), ...(this.signal !== undefined && { signal: this.signal }) };
    const described = attributes.map(({ name, type, description }) => `- ${name} (${type}): ${description}`).join("\n");
    const reply = await this.#split.invoke({ input: question, contents, attributes: described }, config);
    const asked = readReply(reply, attributes);
    if (asked.problem !== undefined) await runManager?.handleText(`self-query: ${asked.problem}`);
    const filters = [filter, asked.filter].filter((part) => part !== undefined);
    const retriever = store.asRetriever({
      k,
      ...(searchType !== undefined && { searchType }),
      ...(filters.length > 0 && { filter: filters.length === 1 ? filters[0] : { $and: filters } }),
    } as never);
    return retriever.invoke(asked.query ?? question, config);
  }
}

interface Asked {
  readonly query?: string | undefined;
  readonly filter?: Filter | undefined;
  readonly problem?: string;
}

function readReply(reply: string, attributes: readonly FilterableAttribute[]): Asked {
  let value: { query?: unknown; filter?: unknown };
  try {
    // Models like to put JSON into a fence.
    value = JSON.parse(reply.slice(reply.indexOf("{"), reply.lastIndexOf("}") + 1)) as typeof value;
  } catch {
    return { problem: `the model's reply is no JSON object: ${reply.slice(0, 200)}` };
  }
  const query = typeof value.query === "string" && value.query.trim() !== "" ? value.query : undefined;
  if (value.filter === null || value.filter === undefined) return { query };
  try {
    const filter = value.filter as Filter;
    if (parseFilter(filter) === undefined) return { query };
    const stranger = keysOf(filter).find((key) => !attributes.some(({ name }) => name === key));
    if (stranger !== undefined)
      return { problem: `the filter uses ${JSON.stringify(stranger)}, which is no attribute` };
    return { query, filter };
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    return { problem: error.message };
  }
}

/** The metadata keys of a filter. */
function keysOf(filter: unknown): string[] {
  if (Array.isArray(filter)) return filter.flatMap(keysOf);
  if (typeof filter !== "object" || filter === null) return [];
  return Object.entries(filter).flatMap(([key, value]) => (key.startsWith("$") ? keysOf(value) : [key]));
}
