import type { VectorInput } from "../../db/sparse-vector.js";
import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { ConfigurationError } from "../../errors.js";
import type { FilterNode } from "../../store/filter/index.js";
import type { SearchSetting } from "../../store/index-note.js";
import { settingsOf, writeIndexNote } from "../../store/measure-recall.js";
import type { OpenStore } from "../../store/open.js";
import { planSearch } from "../../store/plan-search.js";
import { askExactly } from "../../store/ask-exactly.js";
import { sampleQuestions, type Question } from "../../store/recall-questions.js";
import type { SearchStrategy } from "../../store/search-strategy.js";
import { measureFilter, type FilterReport } from "./filters.js";
import { measureSearches, type Measured } from "./measure.js";
import { checkTuneOptions, toVectors, type CheckedTuneOptions, type TuneOptions } from "./options.js";
import { findPlaces, findTuned, type TunePlace } from "./places.js";
import { between, candidates, effort, HOLD_BACK, isHopeless, qualifies, type TunePoint } from "./recommend.js";
import { measureTenants, type TenantReport } from "./tenants.js";

/** What tuning has found. */
export interface TuneReport {
  readonly index: string;
  readonly type: "hnsw" | "ivfflat";
  readonly k: number;
  readonly targetRecall: number;
  /** What was asked: the given questions, or some made of rows. */
  readonly questions: "given" | "rows";
  /** How many settings were compared by, and how many were kept back to check the recommendation. */
  readonly queries: number;
  readonly heldBack: number;
  readonly exact: Measured;
  /** In the order of effort; those that are far from the target were asked a part of the questions only. */
  readonly points: readonly TunePoint[];
  /** The fastest setting that reaches the target; without one the setting that comes nearest. */
  readonly recommended: TunePoint & { readonly heldBackRecall: number };
  readonly reached: boolean;
  /** Whether searches of the store use it from now on. */
  readonly applied: boolean;
  readonly filters: readonly FilterReport[];
  readonly tenants: readonly TenantReport[];
}

const MAX_REFINEMENTS = 3;
/** Questions that tell a setting that is far from the target. */
const PILOT = 100;
/** So many settings beyond the first that reaches the target, to see where the curve goes. */
const BEYOND = 1;

/** Measures the settings of a store's vector index; see `StoreIndexes.tune`. */
export async function tune(
  open: OpenStore,
  options: TuneOptions,
  embed?: (text: string) => Promise<VectorInput>,
): Promise<TuneReport> {
  const checked = checkTuneOptions(options);
  options.signal?.throwIfAborted();
  const given = options.queries && (await toVectors(open, options.queries, embed));
  const all = await findPlaces(open, checked.tenant);
  const tuned = await findTuned(all, checked.k);
  if (tuned === undefined) throw nothingToTune(open, all);
  const { index, places } = tuned;
  const say = options.onProgress ?? (() => undefined);

  say(`asking exactly, to know what should be found`);
  const asked = await ask(places, given, checked, options.signal);
  const questions = asked.filter((_, place) => place % HOLD_BACK !== HOLD_BACK - 1);
  const heldBack = asked.filter((_, place) => place % HOLD_BACK === HOLD_BACK - 1);
  const exact = await measureSearches(
    sampled(questions, 40),
    checked.k,
    async () => ({ kind: "exact" }),
    options.signal,
  );

  const measure = async (some: readonly Question[], setting: SearchSetting): Promise<TunePoint> => {
    const plan = (question: Question): Promise<SearchStrategy> => planWith(question, checked.k, setting);
    return { setting, ...(await measureSearches(some, checked.k, plan, options.signal)) };
  };
  // What is read for the first time is slow whatever the setting.
  await measure(sampled(questions, 60), settingsOf(index).at(-1)!);
  const measured = await measurePoints(settingsOf(index), checked.target, async (setting) => {
    const pilot = await measure(sampled(questions, PILOT), setting);
    const point = isHopeless(pilot, checked.target) ? pilot : await measure(questions, setting);
    say(`${JSON.stringify(setting)}: recall ${point.recall.toFixed(4)}, p50 ${point.p50Ms.toFixed(2)} ms`);
    return point;
  });

  const { points, recommended, reached } = await recommend(measured, checked.target, (point) =>
    measure(heldBack, point.setting),
  );
  const filters: FilterReport[] = [];
  for (const [place, filter] of checked.filters.entries()) {
    say(`measuring the filter ${JSON.stringify(options.filters![place])}`);
    filters.push(
      await measureFilter(
        places[0]!.store,
        filter,
        options.filters![place]!,
        recommended.setting,
        questions,
        checked,
        options.signal,
      ),
    );
  }
  const tenants = await measureTenants(all, given, recommended.setting, checked, options.signal, say);
  const note = { setting: recommended.setting, k: checked.k, recall: recommended.recall, queries: recommended.queries };
  const applied = options.apply !== false && (await apply(open, () => writeIndexNote(open, index, note)));
  return {
    index: index.name,
    type: index.method,
    k: checked.k,
    targetRecall: checked.target,
    questions: given === undefined ? "rows" : "given",
    queries: questions.length,
    heldBack: heldBack.length,
    exact,
    points,
    recommended,
    reached,
    applied,
    filters,
    tenants,
  };
}

/** The way that a search with this setting goes, whatever is stored with the index. */
export function planWith(
  { store, filter }: { readonly store: Question["store"]; readonly filter: FilterNode | undefined },
  k: number,
  { efSearch, probes }: SearchSetting,
): Promise<SearchStrategy> {
  return planSearch(store, { k, filter, efSearch, probes });
}

async function measurePoints(
  settings: readonly SearchSetting[],
  target: number,
  measure: (setting: SearchSetting) => Promise<TunePoint>,
): Promise<TunePoint[]> {
  const points: TunePoint[] = [];
  for (const setting of settings) {
    points.push(await measure(setting));
    if (candidates(points, target).length > BEYOND) break;
  }
  for (let step = 0; step < MAX_REFINEMENTS; step += 1) {
    const setting = between(points, target);
    if (setting === undefined) break;
    points.push(await measure(setting));
  }
  return points.toSorted((a, b) => effort(a.setting) - effort(b.setting));
}

/** The fastest setting that reaches the target, and does so for questions that had no part in choosing it. */
async function recommend(
  points: readonly TunePoint[],
  target: number,
  check: (point: TunePoint) => Promise<Measured>,
): Promise<Pick<TuneReport, "points" | "recommended" | "reached">> {
  const checked = new Map<TunePoint, TuneReport["recommended"]>();
  const withChecked = (): TunePoint[] => points.map((point) => checked.get(point) ?? point);
  const askAgain = async (point: TunePoint): Promise<TuneReport["recommended"]> => {
    const recommended = { ...point, heldBackRecall: (await check(point)).recall };
    checked.set(point, recommended);
    return recommended;
  };
  for (const point of candidates(points, target)) {
    const recommended = await askAgain(point);
    if (qualifies(recommended, target)) return { points: withChecked(), recommended, reached: true };
  }
  const best = points.toSorted((a, b) => b.recall - a.recall)[0]!;
  const recommended = checked.get(best) ?? (await askAgain(best));
  return { points: withChecked(), recommended, reached: false };
}

async function ask(
  places: readonly TunePlace[],
  given: readonly VectorInput[] | undefined,
  { maxQueries, k, budgetMs }: CheckedTuneOptions,
  signal: AbortSignal | undefined,
): Promise<Question[]> {
  const share = Math.ceil(maxQueries / places.length);
  const deadline = performance.now() + budgetMs;
  const asked: Question[] = [];
  for (const { store } of places) {
    const vectors = given === undefined ? await sampleQuestions(store, share) : sampled(given, share);
    asked.push(...(await askExactly(store, vectors, { k, deadline, signal })));
  }
  if (asked.length < 2 * HOLD_BACK) {
    throw new ConfigurationError("Too few exact searches were done in `budgetMs` to measure anything; allow more.");
  }
  return asked;
}

/** Some of the items, from all over. */
export function sampled<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items];
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]!);
}

/** @returns whether it was done, which takes the role that owns the index. */
async function apply(open: OpenStore, write: () => Promise<void>): Promise<boolean> {
  try {
    await write();
    return true;
  } catch (error) {
    if (sqlstateOf(error) !== SQLSTATE.insufficientPrivilege) throw error;
    open.options.logger.warn(
      "langchain-pgvector: this role does not own the index, so the setting was not stored with it.",
    );
    return false;
  }
}

function nothingToTune(open: OpenStore, places: readonly TunePlace[]): ConfigurationError {
  const rows = places[0]?.rows ?? 0;
  return new ConfigurationError(
    `No search of ${JSON.stringify(open.options.layout.table)} would use a vector index: ` +
      (rows === 0
        ? "it has no rows."
        : `there is none, or exact searches of its ${rows.toLocaleString("en")} rows are faster. Build one with: indexes create`),
  );
}
