import { countText, finding, type DoctorFinding } from "../finding.js";
import type { ExplainedStatement } from "./explanation.js";
import { createIndexSql, indexFaults, serves, type IndexNeeds } from "./index-faults.js";
import { planFindings } from "./plan-findings.js";
import type { IndexFacts } from "./read-indexes.js";
import { rowsOf, type SearchedTable } from "./read-table-facts.js";

/** What is known of a store for judging what its searches did. */
export interface SearchedStore {
  /** Of the table of chunks. */
  readonly name: string;
  readonly table: SearchedTable;
  readonly indexes: readonly IndexFacts[];
  readonly needs: IndexNeeds;
  readonly tenancy: boolean;
}

/** Below this many rows an exact search takes a few milliseconds, and an index would gain nothing. */
export const ROWS_FOR_INDEX = 10_000;

/**
 * Why the statements of a search went as they did. No I/O.
 *
 * @param exact for each statement, whether the store had decided against the index.
 */
export function searchFindings(
  statements: readonly ExplainedStatement[],
  exact: readonly boolean[],
  store: SearchedStore,
): DoctorFinding[] {
  const dense = statements.flatMap((statement, index) =>
    statement.name === "search-lexical" ? [] : [{ statement, exact: exact[index]! }],
  );
  const findings: DoctorFinding[] = [];
  const [first, ...later] = dense;
  if (first !== undefined && first.statement.vectorIndex === undefined) {
    findings.push(...whyNoIndex(first.statement, first.exact, store));
  }
  if (first !== undefined && !first.exact && later.some((next) => next.exact)) findings.push(fellBack(first.statement));
  return distinct([...findings, ...statements.flatMap((statement) => planFindings(statement, store))]);
}

/** Why no vector index gave the order, the definite reasons first. */
export function whyNoIndex(statement: ExplainedStatement, exact: boolean, store: SearchedStore): DoctorFinding[] {
  const { indexes, needs, table, name } = store;
  const good = indexes.filter((index) => serves(index, needs));
  if (good.length === 0) {
    const faults = indexes.flatMap((index) => [...invalid(index, needs), ...indexFaults(index, needs)]);
    if (faults.length > 0) return faults;
    const untyped = columnFault(store);
    if (untyped !== undefined) return [untyped];
    if (rowsOf(table) < ROWS_FOR_INDEX) return [small(name, rowsOf(table))];
    return [
      finding(
        "index-missing",
        "warning",
        name,
        `The table has ${countText(rowsOf(table))} rows and no vector index, so a search reads all of its tenant's.`,
        createIndexSql(name, needs),
      ),
    ];
  }
  if (exact) {
    const read = statement.tables.find((access) => access.table === name);
    const rows = read?.removed === undefined ? "few" : countText(read.rows + read.removed);
    return [
      finding(
        "exact-search-chosen",
        "note",
        name,
        `The store searched exactly although there is an index: ${rows} rows had to be ` +
          "read within the tenant and the filter, which is cheaper than to look for them among all entries of the index, and " +
          "finds all of them.",
        "-- nothing has to be done",
      ),
    ];
  }
  return [notChosen(statement, good[0]!)];
}

function notChosen({ settings }: ExplainedStatement, index: IndexFacts): DoctorFinding {
  if (settings["enable_indexscan"] === "off")
    return methodOff("enable_indexscan", `no statement can use the index ${index.name}`);
  const cost = settings["random_page_cost"];
  return finding(
    "planner-cost",
    "warning",
    index.name,
    `The index ${index.name} suits the search, and the planner thought another way cheaper` +
      (cost === undefined ? "" : ` (random_page_cost is ${cost})`) +
      ". Its estimate depends on statistics and on cost settings.",
    `analyze ${index.table};\n-- on solid-state disks, or with all data in memory:\nalter system set random_page_cost = 1.1;\nselect pg_reload_conf();`,
  );
}

/** A planner method that is switched off for everybody, which cures nothing and hides the cause of what it was to cure. */
export function methodOff(setting: string, consequence: string): DoctorFinding {
  return finding(
    "planner-method-off",
    "warning",
    setting,
    `${setting} is off, so ${consequence}.`,
    `-- where it was set (select * from pg_db_role_setting; select * from pg_file_settings):\nalter database <name> reset ${setting};\n` +
      `alter system reset ${setting};\nselect pg_reload_conf();`,
  );
}

function invalid(index: IndexFacts, { model }: IndexNeeds): DoctorFinding[] {
  if (index.valid || index.building || index.column !== model.column) return [];
  return [
    finding(
      "index-invalid",
      "error",
      index.name,
      `The index ${index.name} is invalid: its build was interrupted, every write pays for it and no search uses it.`,
      `reindex index concurrently ${index.name};`,
    ),
  ];
}

/** A column that no index can be built on, because its type says no dimensions. */
function columnFault({ table, needs: { model }, name }: SearchedStore): DoctorFinding | undefined {
  if (table.type === null || /\(\d+\)$/.test(table.type)) return undefined;
  return columnWithoutDimensions(name, model.column, table.type, model);
}

export function columnWithoutDimensions(
  table: string,
  column: string,
  type: string,
  { storageType, dimensions }: { readonly storageType: string; readonly dimensions: number },
): DoctorFinding {
  return finding(
    "column-type-drift",
    "error",
    `${table}.${column}`,
    `The column ${column} of ${table} has the type ${type} and not ${storageType}(${dimensions}), which the store recorded. ` +
      "Without that number of dimensions no index can be built, and vectors of another model can get in.",
    `alter table ${table} alter column ${column} type ${storageType}(${dimensions});`,
  );
}

function small(name: string, rows: number): DoctorFinding {
  return finding(
    "table-small",
    "note",
    name,
    `The table has ${countText(rows)} rows and no vector index; an exact search of so few takes milliseconds and misses nothing.`,
    "-- nothing has to be done",
  );
}

function fellBack({ tables }: ExplainedStatement): DoctorFinding {
  const removed = tables.reduce((sum, access) => sum + (access.removed ?? 0), 0);
  return finding(
    "index-scan-fell-back",
    "note",
    "search",
    `The scan of the vector index met too few rows that match${removed > 0 ? ` (${countText(removed)} were removed)` : ""}, so an exact search ` +
      "followed in the same call. Results are complete; the first statement was for nothing.",
    "-- for filters that come often, promote their key:\nnpx langchain-pgvector init --promote key:type",
  );
}

function distinct(findings: readonly DoctorFinding[]): DoctorFinding[] {
  return [...new Map(findings.map((one) => [`${one.id} ${one.object}`, one])).values()];
}
