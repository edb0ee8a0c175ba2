import type { SparseVector, VectorInput } from "../../db/sparse-vector.js";
import { ConfigurationError } from "../../errors.js";
import { parseFilter, type Filter, type FilterNode } from "../../store/filter/index.js";
import type { OpenStore } from "../../store/open.js";
import { integer } from "../../store/options.js";
import { toTenantId } from "../../store/tenant.js";
import { checkVector } from "../../store/vectors.js";

export interface TuneOptions {
  /**
   * What users ask, as texts, which the store's embedder embeds, or as vectors.
   * @defaultValue questions made of rows of the table, which are about as hard
   */
  readonly queries?: readonly (string | readonly number[] | SparseVector)[] | undefined;
  /** At most so many are asked: with 1,000 a recall of 0.97 is known to about 0.003. @defaultValue 1,000 */
  readonly maxQueries?: number | undefined;
  /** @defaultValue 10 */
  readonly k?: number | undefined;
  /** recall@k to reach, above 0 and at most 1. @defaultValue 0.99 */
  readonly targetRecall?: number | undefined;
  /** Filters of which recall and time are measured too, each scanned in every way. */
  readonly filters?: readonly Filter[] | undefined;
  /** Asks within this tenant alone. @defaultValue the largest tenants, for the role that administers them */
  readonly tenantId?: string | number | undefined;
  /** Whether the store's searches use the recommended setting from now on. @defaultValue true */
  readonly apply?: boolean | undefined;
  /** For the exact searches, which read all rows, in milliseconds. @defaultValue 120,000 */
  readonly budgetMs?: number | undefined;
  readonly onProgress?: ((message: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** {@link TuneOptions}, checked. */
export interface CheckedTuneOptions {
  readonly maxQueries: number;
  readonly k: number;
  readonly target: number;
  readonly filters: readonly FilterNode[];
  readonly tenant: string | undefined;
  readonly budgetMs: number;
}

/** @throws ConfigurationError, FilterError before any I/O. */
export function checkTuneOptions(options: TuneOptions): CheckedTuneOptions {
  const { targetRecall: target = 0.99, tenantId, filters = [], queries } = options;
  if (!(target > 0 && target <= 1)) {
    throw new ConfigurationError(`targetRecall must be above 0 and at most 1, got ${target}.`);
  }
  if (queries !== undefined && queries.length < MIN_GIVEN) {
    throw new ConfigurationError(
      `queries has ${queries.length}; give at least ${MIN_GIVEN}, or none to ask with rows.`,
    );
  }
  return {
    maxQueries: integer("maxQueries", options.maxQueries, MIN_GIVEN, 100_000) ?? 1_000,
    k: integer("k", options.k, 1, 1_000) ?? 10,
    target,
    filters: filters.map((filter) => {
      const parsed = parseFilter(filter);
      if (parsed === undefined) throw new ConfigurationError("An empty filter in `filters` keeps all rows; remove it.");
      return parsed;
    }),
    tenant: tenantId === undefined ? undefined : toTenantId(tenantId),
    budgetMs: integer("budgetMs", options.budgetMs, 1, 86_400_000) ?? 120_000,
  };
}

/** With fewer questions a recall is known to a hundredth at best. */
const MIN_GIVEN = 30;

/** The given questions as vectors. @throws as `checkVector` for one that the store could not be asked with. */
export async function toVectors(
  store: OpenStore,
  queries: NonNullable<TuneOptions["queries"]>,
  embed: ((text: string) => Promise<VectorInput>) | undefined,
): Promise<VectorInput[]> {
  const vectors: VectorInput[] = [];
  for (const [place, query] of queries.entries()) {
    if (typeof query === "string" && embed === undefined) {
      throw new ConfigurationError("queries are texts, and there is no embedder to embed them; give vectors.");
    }
    const vector = typeof query === "string" ? await embed!(query) : query;
    checkVector(vector, store.model, store.options.metric, () => `queries[${place}]`);
    vectors.push(vector);
  }
  return vectors;
}
