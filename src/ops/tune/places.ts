import { ConfigurationError } from "../../errors.js";
import { scopeTo, type OpenStore, type ScopedStore } from "../../store/open.js";
import { findIndexOf, planSearch, tenantFacts } from "../../store/plan-search.js";
import { largestTenants } from "../../store/recall-questions.js";
import type { VectorIndex } from "../../store/search-memory.js";
import { requireAdministrator } from "../../store/tenants/registry.js";

/** A tenant's part of a store. */
export interface TunePlace {
  readonly store: ScopedStore;
  readonly rows: number;
}

const MEASURED_TENANTS = 3;

/**
 * Where questions are asked, the largest first.
 *
 * @throws TenantIsolationError for a role that may not see which tenants there are, unless it names one.
 */
export async function findPlaces(open: OpenStore, tenant: string | undefined): Promise<TunePlace[]> {
  if (tenant !== undefined) {
    if (open.options.layout.tenancy === "off") {
      throw new ConfigurationError('tenantId needs tenancy: "rls"; leave it out.');
    }
    const store = scopeTo(open, tenant);
    return [{ store, rows: (await tenantFacts(store)).rows }];
  }
  if (open.options.layout.tenancy === "rls") {
    await open.database.connection((session) => requireAdministrator(session, open));
  }
  return (await largestTenants(open)).filter(({ rows }) => rows > 0);
}

/** The index of the largest place whose searches use one, and the largest places that it serves. */
export async function findTuned(
  places: readonly TunePlace[],
  k: number,
): Promise<{ readonly index: VectorIndex; readonly places: readonly TunePlace[] } | undefined> {
  let tuned: VectorIndex | undefined;
  const served: TunePlace[] = [];
  for (const place of places) {
    const index = await findIndexOf(place.store);
    if (index === undefined || (tuned !== undefined && index.name !== tuned.name)) continue;
    const plain = { k, filter: undefined, efSearch: 1, probes: undefined };
    if ((await planSearch(place.store, plain)).kind === "exact") continue;
    tuned = index;
    served.push(place);
    if (served.length === MEASURED_TENANTS) break;
  }
  return tuned && { index: tuned, places: served };
}

/** A few places of every size, the largest first. */
export function spread(places: readonly TunePlace[], count: number): TunePlace[] {
  if (places.length <= count) return [...places];
  return Array.from({ length: count }, (_, i) => places[Math.round((i * (places.length - 1)) / (count - 1))]!);
}
