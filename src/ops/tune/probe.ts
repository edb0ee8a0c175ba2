import sql from "sql-template-tag";
import { qualified } from "../../db/identifiers.js";
import { RECALL_TABLE } from "../../schema/layout.js";
import { formatSetting } from "../../store/index-note.js";
import type { OpenStore } from "../../store/open.js";
import { integer } from "../../store/options.js";
import { planSearch } from "../../store/plan-search.js";
import { askExactly } from "../../store/ask-exactly.js";
import { sampleQuestions, type Question } from "../../store/recall-questions.js";
import { toTenantId } from "../../store/tenant.js";
import { measureSearches } from "./measure.js";
import { findPlaces, findTuned } from "./places.js";

export interface ProbeOptions {
  /** Questions made of rows. @defaultValue 40 */
  readonly queries?: number | undefined;
  /** @defaultValue 10 */
  readonly k?: number | undefined;
  /** For the exact searches, in milliseconds. @defaultValue 5,000 */
  readonly budgetMs?: number | undefined;
  /** Asks within this tenant alone. @defaultValue the largest tenants */
  readonly tenantId?: string | number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The recall of an index at one time, with the setting that searches then used. */
export interface RecallRecord {
  readonly index: string;
  readonly measuredAt: Date;
  /** Such as `efSearch 160`. */
  readonly setting: string;
  readonly k: number;
  readonly queries: number;
  readonly recall: number;
  /** Median of one search. */
  readonly milliseconds: number;
  /** Entries of the index, estimated from its size. */
  readonly entries: number;
}

/** So much is kept of each index: one a day for more than two years. */
const KEPT = 1_000;

/** Measures what searches find now and records it; see `StoreIndexes.probe`. `undefined` when no search uses an index. */
export async function probeRecall(open: OpenStore, options: ProbeOptions): Promise<RecallRecord | undefined> {
  const queries = integer("queries", options.queries, 1, 10_000) ?? 40;
  const k = integer("k", options.k, 1, 1_000) ?? 10;
  const budgetMs = integer("budgetMs", options.budgetMs, 1, 3_600_000) ?? 5_000;
  const tenant = options.tenantId === undefined ? undefined : toTenantId(options.tenantId);
  const tuned = await findTuned(await findPlaces(open, tenant), k);
  if (tuned === undefined) return undefined;
  const { index, places } = tuned;
  const deadline = performance.now() + budgetMs;
  const questions: Question[] = [];
  for (const { store } of places) {
    const vectors = await sampleQuestions(store, Math.ceil(queries / places.length));
    questions.push(...(await askExactly(store, vectors, { k, deadline, signal: options.signal })));
  }
  if (questions.length === 0) return undefined;
  const plain = { k, filter: undefined, efSearch: open.options.efSearch, probes: open.options.probes };
  const strategy = await planSearch(questions[0]!.store, plain);
  const measured = await measureSearches(questions, k, ({ store }) => planSearch(store, plain), options.signal);
  const record: RecallRecord = {
    index: index.name,
    measuredAt: new Date(),
    setting: strategy.kind === "exact" ? "exact" : describeSetting(index.method, strategy),
    k,
    queries: questions.length,
    recall: measured.recall,
    milliseconds: measured.p50Ms,
    entries: index.entries,
  };
  await write(open, record);
  return record;
}

function describeSetting(
  method: string,
  { efSearch, probes }: { efSearch: number; probes?: number | undefined },
): string {
  return formatSetting(method === "ivfflat" ? { probes: probes ?? 1 } : { efSearch });
}

/** What probes have found, the latest first. */
export async function recallHistory(
  open: OpenStore,
  { index, limit = 100 }: { readonly index?: string | undefined; readonly limit?: number | undefined },
): Promise<RecallRecord[]> {
  const most = integer("limit", limit, 1, 100_000)!;
  const { rows } = await open.database.execute({
    name: "recall-history",
    sql: sql`
      select index_name as index, measured_at as "measuredAt", setting, k, queries, recall, milliseconds,
        entries::float8 as entries
      from ${qualified(open.schema, RECALL_TABLE)}
      where store = ${open.options.layout.table}::text and index_name = coalesce(${index ?? null}::text, index_name)
      order by measured_at desc limit ${most}::int8`,
  });
  return rows as unknown as RecallRecord[];
}

async function write(open: OpenStore, record: RecallRecord): Promise<void> {
  const table = qualified(open.schema, RECALL_TABLE);
  const store = open.options.layout.table;
  await open.database.transaction({}, async (session) => {
    await session.execute({
      name: "record-recall",
      sql: sql`
        insert into ${table} (store, index_name, measured_at, setting, k, queries, recall, milliseconds, entries)
        values (${store}::text, ${record.index}::text, ${record.measuredAt}::timestamptz, ${record.setting}::text,
          ${record.k}::int4, ${record.queries}::int4, ${record.recall}::float8, ${record.milliseconds}::float8,
          ${record.entries}::int8)`,
    });
    await session.execute({
      name: "prune-recall",
      sql: sql`
        delete from ${table} where store = ${store}::text and index_name = ${record.index}::text and measured_at < (
          select measured_at from ${table} where store = ${store}::text and index_name = ${record.index}::text
          order by measured_at desc offset ${KEPT}::int8 limit 1
        )`,
    });
  });
}
