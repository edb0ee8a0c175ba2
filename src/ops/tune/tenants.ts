import type { VectorInput } from "../../db/sparse-vector.js";
import type { SearchSetting } from "../../store/index-note.js";
import { askExactly } from "../../store/ask-exactly.js";
import { sampleQuestions } from "../../store/recall-questions.js";
import { planSearch } from "../../store/plan-search.js";
import { measureSearches, type Measured } from "./measure.js";
import type { CheckedTuneOptions } from "./options.js";
import { spread, type TunePlace } from "./places.js";

/** How a tenant of some size is served. */
export interface TenantReport extends Measured {
  readonly tenantId: string;
  readonly rows: number;
  /** Whether its searches read all of its rows, or an index. */
  readonly way: "exact" | "index";
}

const SIZES = 5;
const QUESTIONS = 30;

/** Measures tenants of every size as the store serves them; nothing without tenancy. */
export async function measureTenants(
  places: readonly TunePlace[],
  given: readonly VectorInput[] | undefined,
  { efSearch, probes }: SearchSetting,
  { k, budgetMs }: CheckedTuneOptions,
  signal: AbortSignal | undefined,
  say: (message: string) => void,
): Promise<TenantReport[]> {
  if (places[0]?.store.options.layout.tenancy !== "rls") return [];
  const reports: TenantReport[] = [];
  const deadline = performance.now() + budgetMs;
  for (const { store, rows } of spread(places, SIZES)) {
    say(`measuring a tenant of ${rows.toLocaleString("en")} rows`);
    const vectors = given?.slice(0, QUESTIONS) ?? (await sampleQuestions(store, QUESTIONS));
    const asked = await askExactly(store, vectors, { k, deadline, signal });
    if (asked.length === 0) continue;
    const search = { k, filter: undefined, efSearch, probes };
    const { kind } = await planSearch(store, search);
    const measured = await measureSearches(asked, k, () => planSearch(store, search), signal);
    reports.push({ tenantId: store.tenant, rows, way: kind, ...measured });
  }
  return reports;
}
