import type { Callbacks } from "@langchain/core/callbacks/manager";
import type { VectorInput } from "../../db/sparse-vector.js";
import { ConfigurationError } from "../../errors.js";
import type { Filter } from "../filter/index.js";
import type { PostgresVectorStore } from "../postgres-vector-store.js";
import { checkK, type SearchHit, type SearchOptions } from "../search-hit.js";
import { rerank } from "./rerank.js";

/** What a step after a search knows beside the question and the hits. */
export interface PostProcessContext {
  /** The store that was searched, in the tenant of the search; steps that read further rows read them there. */
  readonly store?: Pick<PostgresVectorStore, "get" | "getNeighbours"> | undefined;
  /** Hits wanted in the end. A step may return more, of which the first count. @defaultValue all that are given */
  readonly k?: number | undefined;
  /** The filter of the search. A step that reads further rows keeps to it. */
  readonly filter?: Filter | undefined;
  readonly signal?: AbortSignal | undefined;
  /** For steps that call models, so that tracers see the calls. */
  readonly callbacks?: Callbacks | undefined;
}

/** A step after a search: reorders hits, leaves some out, or makes longer passages of them. Best first, before and after. */
export interface PostProcessor {
  (question: string, hits: SearchHit[], context: PostProcessContext): Promise<SearchHit[]>;
  /** Whether the hits have to carry their vectors. */
  readonly needsEmbeddings?: boolean;
}

/** Candidates for the steps when the caller does not say: so many, and so many for each hit wanted. */
const LEAST_CANDIDATES = 20;
const CANDIDATES_PER_HIT = 4;

/**
 * A search whose candidates go through `rerank` and the steps of `postProcess`; `undefined` for one without.
 *
 * @param search the search without them.
 * @throws ConfigurationError before any I/O.
 */
export function searchInSteps(
  store: NonNullable<PostProcessContext["store"]>,
  query: string | VectorInput,
  options: SearchOptions,
  search: (options: SearchOptions) => Promise<SearchHit[]>,
): Promise<SearchHit[]> | undefined {
  const { rerank: reranker, postProcess, fetchK, callbacks, ...rest } = options;
  const steps = [...(reranker === undefined ? [] : [rerank(reranker)]), ...checkSteps(postProcess)];
  if (steps.length === 0) {
    if (fetchK === undefined) return undefined;
    throw new ConfigurationError(
      "fetchK is the number of candidates for `rerank` and `postProcess`; give one of them.",
    );
  }
  if (typeof query !== "string") {
    throw new ConfigurationError("`rerank` and `postProcess` need the text of the query; a vector has none.");
  }
  const k = checkK(rest.k ?? 4);
  const { filter, signal, includeEmbeddings = false } = rest;
  const candidates = Math.max(k, checkK(fetchK ?? Math.max(LEAST_CANDIDATES, CANDIDATES_PER_HIT * k), "fetchK"));
  // A hybrid search scales its scores by the last candidates, so more of them would rank the first ones otherwise.
  const perLeg = rest.candidates ?? Math.max(50, 10 * k, candidates);
  const vectors = includeEmbeddings || steps.some((step) => step.needsEmbeddings);
  return (async () => {
    let hits = await search({ ...rest, k: k === 0 ? 0 : candidates, candidates: perLeg, includeEmbeddings: vectors });
    for (const step of steps) {
      signal?.throwIfAborted();
      hits = await step(query, hits, { store, k, filter, signal, callbacks });
    }
    hits = hits.slice(0, k);
    return includeEmbeddings ? hits : hits.map(withoutEmbedding);
  })();
}

/** @throws ConfigurationError unless it is undefined or a list of functions. */
export function checkSteps(steps: readonly PostProcessor[] | undefined): readonly PostProcessor[] {
  if (steps === undefined) return [];
  if (Array.isArray(steps) && steps.every((step) => typeof step === "function")) return steps;
  throw new ConfigurationError("postProcess must be a list of functions, such as [neighbours()].");
}

/** The store that a step reads from. @throws ConfigurationError when it was called without one. */
export function storeOf({ store }: PostProcessContext, step: string): NonNullable<PostProcessContext["store"]> {
  if (store !== undefined) return store;
  throw new ConfigurationError(
    `${step} reads further rows; pass it to \`postProcess\` of a search or retriever, or call it with { store }.`,
  );
}

function withoutEmbedding(hit: SearchHit): SearchHit {
  const { embedding: _, sparseEmbedding: __, ...rest } = hit;
  return rest;
}
