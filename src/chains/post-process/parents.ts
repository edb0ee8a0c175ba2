import { ConfigurationError } from "../../errors.js";
import { Document } from "@langchain/core/documents";
import type { PostgresVectorStore } from "../../store/postgres-vector-store.js";
import { storeOf, type PostProcessContext, type PostProcessor } from "../../store/post-process/post-process.js";
import type { SearchHit } from "../../store/search-hit.js";
import { runAround, sameSection, toPassages } from "./passages.js";

export interface ParentsOptions {
  /** Metadata key that holds the id of a chunk's parent. @defaultValue `"parentId"` */
  key?: string;
  /** Where parents with an id are stored. @defaultValue the store that is searched */
  from?: PostgresVectorStore;
  /**
   * What takes the place of a stored parent for chunks without one: the chunks around it under the same headings, or all
   * chunks of its source.
   * @defaultValue `"section"`
   */
  unit?: "section" | "source";
  /** Longest parent that is put together from chunks; of a longer one, the part around the chunk. @defaultValue 8000 */
  maxCharacters?: number;
}

/** Chunks on either side that are looked at for a section or a source. */
const REACH = { section: 25, source: 500 } as const;

/**
 * Small chunks are searched, what they belong to is returned: the stored document that `parentId` names, else the section
 * or the source, put together from its chunks. A parent comes once, at the place of its best chunk and with that chunk's
 * figures; `parts` are its chunks that were found, or those that it consists of. Parents and chunks that the search's filter
 * excludes are not read, nor those of other tenants. Two statements at most.
 *
 * @example
 * ```ts
 * const retriever = store.asRetriever({ k: 4, fetchK: 40, postProcess: [parents({ from: pages })] });
 * ```
 */
export function parents(options: ParentsOptions = {}): PostProcessor {
  const { key = "parentId", from, unit = "section", maxCharacters = 8_000 } = options;
  if (!Object.hasOwn(REACH, unit)) {
    throw new ConfigurationError(`unit ${JSON.stringify(unit)} is unknown; use "section" or "source".`);
  }
  if (!(maxCharacters > 0)) {
    throw new ConfigurationError(`maxCharacters must be a number above 0, got ${String(maxCharacters)}.`);
  }
  const parentOf = ({ document }: SearchHit): string | undefined => {
    const id: unknown = document.metadata[key];
    return typeof id === "string" && id !== "" ? id : undefined;
  };
  return async (_question, hits, context) => {
    const stored = await storedParents(from ?? storeOf(context, "parents"), hits.map(parentOf), context);
    const orphans = hits.filter((hit) => !stored.has(parentOf(hit) ?? ""));
    const passages = await sections(orphans, { unit, maxCharacters }, context);
    const results = new Map<string, SearchHit>();
    for (const hit of hits) {
      const parent = stored.get(parentOf(hit) ?? "");
      if (parent === undefined) {
        const passage = passages.find((other) => other.parts?.includes(hit.document.id!) ?? other === hit);
        if (passage !== undefined) results.set(`chunk ${passage.document.id}`, passage);
        continue;
      }
      const earlier = results.get(`parent ${parent.id}`);
      const parts = [...(earlier?.parts ?? []), hit.document.id!];
      results.set(`parent ${parent.id}`, { ...(earlier ?? hit), document: parent, parts });
    }
    return [...results.values()];
  };
}

async function storedParents(
  from: Pick<PostgresVectorStore, "get">,
  wanted: readonly (string | undefined)[],
  { filter, signal }: PostProcessContext,
): Promise<Map<string, Document>> {
  const ids = [...new Set(wanted.filter((id) => id !== undefined))];
  if (ids.length === 0) return new Map();
  signal?.throwIfAborted();
  const rows = await from.get({ ids, ...(filter !== undefined && { where: filter }) });
  return new Map(
    rows.map(({ id, content, metadata }) => [id, new Document({ id, pageContent: content!, metadata: metadata! })]),
  );
}

async function sections(
  hits: readonly SearchHit[],
  { unit, maxCharacters }: { unit: keyof typeof REACH; maxCharacters: number },
  context: PostProcessContext,
): Promise<SearchHit[]> {
  if (hits.length === 0) return [];
  const { k = hits.length, filter, signal } = context;
  const reach = REACH[unit];
  const chunks = await storeOf(context, "parents").getNeighbours(
    hits.map((hit) => hit.document),
    { before: reach, after: reach, sameSection: unit === "section", filter, signal },
  );
  return toPassages(hits, k, (hit, taken) => {
    const own = chunks.find(({ document }) => document.id === hit.document.id);
    if (own === undefined) return [];
    const same = chunks.filter(
      ({ sequence, document }) =>
        sequence === own.sequence &&
        !taken.has(document.id!) &&
        (unit === "source" || sameSection(document, own.document)),
    );
    return runAround(hit.document.id, same, maxCharacters);
  });
}
