import type { NeighbourOptions } from "../../store/neighbours.js";
import { storeOf, type PostProcessor } from "../../store/post-process/post-process.js";
import { runAround, sameSection, toPassages } from "./passages.js";

export type NeighboursOptions = Pick<
  NeighbourOptions,
  "before" | "after" | "sourceKey" | "positionKey" | "sameSection"
>;

/**
 * Makes each hit longer by the chunks before and behind it in its source, as `splitDocuments` cut them: overlaps are
 * there once, `loc.lines` and `offset` cover the whole. Hits that then share a chunk become one passage, which makes room
 * for the next one. Chunks that the search's filter excludes are not read, nor those of other tenants. One statement.
 *
 * @example
 * ```ts
 * const retriever = store.asRetriever({ searchType: "hybrid", k: 4, postProcess: [neighbours({ after: 2 })] });
 * ```
 */
export function neighbours(options: NeighboursOptions = {}): PostProcessor {
  const { before = 1, after = 1 } = options;
  return async (_question, hits, context) => {
    const { k = hits.length, filter, signal } = context;
    const chunks = await storeOf(context, "neighbours").getNeighbours(
      hits.map((hit) => hit.document),
      { ...options, filter, signal },
    );
    return toPassages(hits, k, (hit) => {
      const own = chunks.find(({ document }) => document.id === hit.document.id);
      if (own === undefined) return [];
      const around = chunks.filter(
        ({ document, sequence, place }) =>
          sequence === own.sequence &&
          place >= own.place - before &&
          place <= own.place + after &&
          (options.sameSection !== true || sameSection(document, own.document)),
      );
      return runAround(hit.document.id, around);
    });
  };
}
