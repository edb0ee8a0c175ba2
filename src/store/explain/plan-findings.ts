import { bytesText, countText, finding, percent, type DoctorFinding } from "../finding.js";
import type { ExplainedStatement } from "./explanation.js";
import { nodesOf, type TableAccess } from "./plan.js";
import { rowsOf } from "./read-table-facts.js";
import type { SearchedStore } from "./search-findings.js";

const BLOCK_BYTES = 8_192;
/** Fewer rows, or blocks, cost less than anybody would notice. */
const MANY_ROWS = 1_000;
const MANY_BLOCKS = 256;
/** Operators that Postgres does not let an index serve under row-level security, since their errors could show a row. */
const LEAKY = /@>|->>|->|~~|@@|\?\||\?&|&&/;

/** What slowed one statement down, whichever index it used. No I/O. */
export function planFindings(statement: ExplainedStatement, store: SearchedStore): DoctorFinding[] {
  const { tables, blocks, executionMs, plan } = statement;
  const findings = tables.flatMap((access) => [...filterFindings(access, store), ...estimateFindings(access, store)]);
  if (blocks.read >= MANY_BLOCKS && blocks.read > 0.1 * blocks.hit) {
    findings.push(
      finding(
        "reads-from-disk",
        "warning",
        statement.name,
        `${bytesText(blocks.read * BLOCK_BYTES)} (${percent(blocks.read / (blocks.read + blocks.hit))}) came from outside of shared_buffers. ` +
          "The first search after a start reads what the next ones find in memory; when it stays so, the index does not fit.",
        `select pg_prewarm('${statement.vectorIndex ?? store.name}'); -- create extension pg_prewarm;\nnpx langchain-pgvector doctor`,
      ),
    );
  }
  const onDisk = nodesOf(plan.Plan).some((node) => node["Sort Space Type"] === "Disk");
  if (onDisk || blocks.temporary > 0) {
    findings.push(
      finding(
        "sort-spills",
        "warning",
        "work_mem",
        `Sorting or hashing did not fit into work_mem${"work_mem" in statement.settings ? ` (${statement.settings["work_mem"]})` : ""}: ` +
          `${bytesText(blocks.temporary * BLOCK_BYTES)} went through temporary files.`,
        "alter role current_user set work_mem = '64MB';",
      ),
    );
  }
  const jit = plan.JIT?.Timing?.Total ?? 0;
  if (jit > 0.25 * executionMs && jit > 1) {
    findings.push(
      finding(
        "jit-overhead",
        "warning",
        "jit",
        `The JIT compiler took ${jit.toFixed(1)} of ${executionMs.toFixed(1)} ms, for a statement that reads a few rows.`,
        "alter role current_user set jit = off;",
      ),
    );
  }
  return findings;
}

function filterFindings(access: TableAccess, { name, tenancy }: SearchedStore): DoctorFinding[] {
  const { removed, rows, mostRemoved, filter = "" } = access;
  if (!mostRemoved) return [];
  const share = removed === undefined ? "Most of the" : `${countText(removed)} of ${countText(removed + rows)}`;
  const read = `${share} rows read from ${access.table} were removed by the filter`;
  const leaky = LEAKY.exec(filter)?.[0];
  if (tenancy && leaky !== undefined) {
    return [
      finding(
        "filter-not-leakproof",
        "warning",
        access.table,
        `${read}. It uses the operator ${leaky}, which is not leakproof: under row-level security no index may serve it, ` +
          "whichever index there is. A promoted key has a column of its own, and = on it is.",
        `npx langchain-pgvector init --table ${name} --promote key:type`,
      ),
    ];
  }
  return [
    finding(
      "filter-removes-most",
      "warning",
      access.table,
      `${read}${access.byDistance ? ", which the scan of the index had to visit" : ""}.`,
      `npx langchain-pgvector init --table ${name} --promote key:type`,
    ),
  ];
}

/** Estimates of a scan that a limit cut short are no estimates of what it returned. */
function estimateFindings(access: TableAccess, { table, name }: SearchedStore): DoctorFinding[] {
  if (access.byDistance || access.table !== name) return [];
  if (table.rows < 0) {
    if (rowsOf(table) < MANY_ROWS) return [];
    return [
      finding(
        "statistics-missing",
        "warning",
        name,
        `The planner was never told how many rows ${name} has; it expected ${countText(access.expected)} and ${countText(access.actual)} came.`,
        `analyze ${name};`,
      ),
    ];
  }
  const many = Math.max(access.expected, access.actual) >= MANY_ROWS;
  const stale = table.changedSinceAnalyze > 0.2 * Math.max(MANY_ROWS, table.rows);
  const ratio = Math.max(access.actual, 1) / Math.max(access.expected, 1);
  if (!many || !stale || (ratio < 10 && ratio > 0.1)) return [];
  return [
    finding(
      "estimate-wrong",
      "warning",
      name,
      `The planner expected ${countText(access.expected)} rows of ${name} and ${countText(access.actual)} came; ` +
        `${countText(table.changedSinceAnalyze)} rows have changed since its statistics were taken.`,
      `analyze ${name};`,
    ),
  ];
}
