import { quoteLiteral, quoteQualified } from "../db/identifiers.js";
import { applySteps } from "../schema/apply.js";
import { formatIndexNote, formatSetting, type IndexNote, type SearchSetting } from "./index-note.js";
import { scopeTo, type OpenStore } from "./open.js";
import { findIndexOf, planSearch, presentIndexes } from "./plan-search.js";
import { askExactly } from "./ask-exactly.js";
import {
  largestTenants,
  meanRecall,
  recallOfHits,
  sampleQuestions,
  searchFor,
  type Question,
} from "./recall-questions.js";
import { runSearch } from "./search.js";
import type { VectorIndex } from "./search-memory.js";
import { tenantOfPredicate } from "./table-facts.js";

const K = 10;
/** Numbers of candidates that are tried, from twice as many as are asked for to the largest that the server allows. */
const EF_SEARCH = [20, 28, 40, 64, 100, 160, 250, 320, 400, 500, 640, 800, 1_000] as const;
const PROBES = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1_024] as const;
const MAX_QUERIES = 300;
/** Standard errors by which the mean has to be above the target: the questions of users are others. */
const CONFIDENCE = 2;
/** With fewer the figure says little. */
const MIN_QUERIES = 20;
/** The exact searches, which read all rows, stop after this. */
const BUDGET_MS = 15_000;
export const DEFAULT_TARGET_RECALL = 0.99;
/** Of the largest tenants, how many are asked. */
const MEASURED_TENANTS = 3;

/** The settings that searches by an index may have, the cheapest first. */
export function settingsOf(index: Pick<VectorIndex, "method" | "lists">): SearchSetting[] {
  if (index.method === "hnsw") return EF_SEARCH.map((efSearch) => ({ efSearch }));
  const lists = index.lists ?? 1;
  return [...PROBES.filter((probes) => probes < lists), lists].map((probes) => ({ probes }));
}

/**
 * Measures an index that has just been built and keeps the figure as its comment. A failure is logged only: the index is
 * there and serves, without the figure with the default.
 *
 * @param tenant whose rows the index holds, when it is on a partition of one tenant; a partial index says it itself.
 */
export async function noteRecall(
  store: OpenStore,
  name: string,
  target = DEFAULT_TARGET_RECALL,
  tenant?: string,
): Promise<void> {
  try {
    const index = (await presentIndexes(store)).find((found) => found.name === name);
    // An index by another metric than the store's serves none of its searches.
    if (index === undefined) return;
    const note = await measureIndex(store, index, target, tenant ?? tenantOfPredicate(index.predicate));
    if (note === undefined) return;
    if (note.recall < target) {
      store.options.logger.warn(
        `langchain-pgvector: searches by ${name} reach a recall of ${note.recall.toFixed(3)} with ` +
          `${formatSetting(note.setting)}, not ${target}. Build it anew with ` +
          (index.method === "hnsw" ? "a larger m or efConstruction." : "fewer lists, or use HNSW."),
      );
    }
    await writeIndexNote(store, index, note);
  } catch (error) {
    store.options.logger.warn(`langchain-pgvector: the recall of ${name} was not measured: ${String(error)}`);
  }
}

/** Keeps what was measured where searches find it. @throws DatabaseError for a role that does not own the index. */
export async function writeIndexNote(
  store: OpenStore,
  index: Pick<VectorIndex, "schema" | "name">,
  note: IndexNote,
): Promise<void> {
  const name = quoteQualified(index.schema, index.name);
  const comment = `comment on index ${name} is ${quoteLiteral(formatIndexNote(note))};\n`;
  await applySteps(store.database, [{ name: "note-recall", sql: comment }]);
  store.memory.forgetIndexes();
}

/**
 * Finds the cheapest setting with which searches by an index reach a recall@10 of `target` (0 to 1) against exact ones.
 * Reads rows of the tenants at hand, asks up to 300 questions and takes about 15 s at most for exact searches.
 *
 * @returns `undefined` when too few rows use the index, or exact searches take too long, for a figure to be had.
 */
async function measureIndex(
  open: OpenStore,
  index: VectorIndex,
  target: number,
  tenant: string | undefined,
): Promise<IndexNote | undefined> {
  const questions: Question[] = [];
  const stores =
    tenant === undefined
      ? (await largestTenants(open)).slice(0, MEASURED_TENANTS).map(({ store }) => store)
      : [scopeTo(open, tenant)];
  const settings = settingsOf(index);
  const deadline = performance.now() + BUDGET_MS;
  for (const store of stores) {
    if ((await findIndexOf(store))?.name !== index.name) continue;
    const cheapest = { k: K, filter: undefined, efSearch: undefined, probes: undefined, ...settings[0] };
    if ((await planSearch(store, cheapest)).kind === "exact") continue;
    const vectors = await sampleQuestions(store, Math.ceil(MAX_QUERIES / stores.length));
    const asked = await askExactly(store, vectors, { k: K, deadline });
    questions.push(...asked.filter(({ nearest }) => nearest === K));
  }
  if (questions.length < MIN_QUERIES) return undefined;
  let note: IndexNote | undefined;
  for (const setting of settings) {
    const { recall, error } = meanRecall(await recallsOf(questions, setting));
    note = { setting, k: K, recall, queries: questions.length };
    if (recall - CONFIDENCE * error >= target) break;
  }
  return note;
}

async function recallsOf(questions: readonly Question[], setting: SearchSetting): Promise<number[]> {
  const recalls: number[] = [];
  for (const question of questions) {
    const search = searchFor(question.vector, { k: K, setting });
    const { hits } = await runSearch(question.store, search, await planSearch(question.store, search));
    recalls.push(recallOfHits(question, hits));
  }
  return recalls;
}
