import sql from "sql-template-tag";
import { quoteQualified } from "../../db/identifiers.js";
import type { Settings } from "../../db/settings.js";
import { EPOCHS_TABLE } from "../../schema/layout.js";
import type { VectorInput } from "../../db/sparse-vector.js";
import type { ScopedStore } from "../open.js";
import type { SearchOptions } from "../search-hit.js";
import { explainText } from "./explain-text.js";
import type { ExplainedStatement, Explanation } from "./explanation.js";
import { accessesOf, withoutLongLiterals, withoutOthers, type ExplainedPlan } from "./plan.js";
import { queryFindings } from "./query-findings.js";
import { readIndexesStatement, isVectorIndex, type IndexFacts } from "./read-indexes.js";
import { readSearchedTable, type SearchedTable } from "./read-table-facts.js";
import { RecordingDatabase, type RecordedStatement } from "./recording-database.js";
import { searchFindings, type SearchedStore } from "./search-findings.js";
import { checkSelect, type RawQuery } from "./select-only.js";

/** How a store is opened and searched. */
export interface Explainable {
  readonly scoped: () => Promise<ScopedStore>;
  /** Does the work anew when the store's models have changed meanwhile. */
  readonly run: <T>(query: string | VectorInput, work: (store: ScopedStore) => Promise<T>) => Promise<T>;
  readonly search: (query: string | VectorInput, store: ScopedStore) => Promise<unknown>;
}

/**
 * Does a search as the store does it, then each of its statements again under `explain (analyze)` with the same settings,
 * role and tenant. A query of the caller's own runs once, in a transaction that is read-only and rolled back.
 */
export async function explain(
  query: string | VectorInput | RawQuery,
  options: SearchOptions,
  { scoped, run, search }: Explainable,
): Promise<Explanation> {
  if (isRaw(query)) {
    const text = checkSelect(query);
    const store = await scoped();
    const settings = { ...store.settings, transaction_read_only: "on" };
    const request = { text: `${EXPLAIN}\n${text}`, values: query.values ?? [], queryMode: "extended" as const };
    const { signal, timeoutMs } = options;
    const { rows } = await store.database.run(request, "explain", { settings, signal, timeoutMs, rollBack: true });
    const statement = describe("query", rows, await readIndexes(store), store, {});
    return conclude([statement], queryFindings(statement, await readFacts(store)));
  }
  return run(query, (store) => explainSearch(query, search, store));
}

async function explainSearch(
  query: string | VectorInput,
  search: Explainable["search"],
  store: ScopedStore,
): Promise<Explanation> {
  const database = new RecordingDatabase(store.database);
  await search(query, { ...store, database });
  const facts = await readFacts(store);
  const statements: ExplainedStatement[] = [];
  for (const { statement, options: ran } of database.recorded) {
    const { rows } = await store.database.execute(
      { name: "explain", sql: sql`explain (analyze, buffers, settings, format json) ${statement.sql}` },
      { ...ran, prepare: false },
    );
    statements.push(describe(statement.name, rows, facts.indexes, store, ran.settings ?? {}));
  }
  return conclude(statements, searchFindings(statements, database.recorded.map(isExact), facts));
}

const EXPLAIN = "explain /* langchain-pgvector:explain */ (analyze, buffers, settings, format json)";

function isRaw(query: string | VectorInput | RawQuery): query is RawQuery {
  return typeof query === "object" && "sql" in query;
}

/** Whether the store had decided against the index. */
function isExact({ options }: RecordedStatement): boolean {
  return options.settings?.["enable_indexscan"] === "off";
}

async function readFacts(store: ScopedStore): Promise<SearchedStore> {
  const table = quoteQualified(store.schema, store.options.layout.table);
  const { rows } = await store.database.execute(readSearchedTable(table, store.model.column));
  return {
    name: store.options.layout.table,
    table: rows[0] as unknown as SearchedTable,
    indexes: await readIndexes(store),
    needs: { model: store.model, metric: store.options.metric, extensionSchema: store.server.vector.schema },
    tenancy: store.options.layout.tenancy === "rls",
  };
}

async function readIndexes(store: ScopedStore): Promise<IndexFacts[]> {
  const table = quoteQualified(store.schema, store.options.layout.table);
  const { rows } = await store.database.execute(readIndexesStatement([table]));
  return rows as unknown as IndexFacts[];
}

function describe(
  name: string,
  rows: readonly Record<string, unknown>[],
  indexes: readonly IndexFacts[],
  store: ScopedStore,
  settings: Settings,
): ExplainedStatement {
  const [explained] = rows[0]!["QUERY PLAN"] as [ExplainedPlan];
  const plan = withoutLongLiterals(explained);
  const tenancy = store.options.layout.tenancy === "rls";
  // Every statement of the store looks up the epoch of its models; that is no part of what was asked.
  const tables = accessesOf(plan.Plan, tenancy).filter(({ table }) => table !== EPOCHS_TABLE);
  const vector = new Set(
    indexes.filter(isVectorIndex).map((index) => index.name.split(".").at(-1)!.replaceAll('"', "")),
  );
  const ordered = tables.find(({ byDistance, index }) => byDistance && index !== undefined && vector.has(index));
  const { Plan: root } = plan;
  return {
    name,
    planningMs: plan["Planning Time"],
    executionMs: plan["Execution Time"],
    vectorIndex: ordered?.index,
    tables,
    blocks: {
      hit: root["Shared Hit Blocks"] ?? 0,
      read: root["Shared Read Blocks"] ?? 0,
      temporary: root["Temp Written Blocks"] ?? 0,
    },
    settings: { ...plan.Settings, ...withoutScope(settings, store) },
    plan: tenancy ? withoutOthers(plan) : plan,
  };
}

/** Settings of pgvector are not among those that Postgres itself reports. */
function withoutScope(settings: Settings, store: ScopedStore): Settings {
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !(name in store.settings)));
}

function conclude(statements: readonly ExplainedStatement[], findings: Explanation["findings"]): Explanation {
  return { statements, findings, text: explainText(statements, findings) };
}
