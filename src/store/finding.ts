/** What `doctor` and `explain` know to look for, by the page of `docs/findings/` that says more. */
const PAGES = {
  server: [
    "server-old",
    "server-known-defects",
    "pgvector-missing",
    "pgvector-old",
    "pgvector-update-pending",
    "collation-changed",
    "durability-off",
    "connections-near-limit",
    "replication-lag",
    "replication-slot-behind",
  ],
  settings: [
    "shared-buffers-small",
    "work-mem-small",
    "work-mem-large",
    "maintenance-work-mem-small",
    "parallel-maintenance-off",
    "random-page-cost-high",
    "planner-method-off",
    "jit-eager",
    "autovacuum-off",
  ],
  indexes: [
    "index-wrong-operator-class",
    "index-on-expression",
    "index-invalid",
    "index-on-empty-table",
    "ivfflat-lists-stale",
    "index-missing",
    "index-duplicate",
    "index-unused",
    "index-larger-than-memory",
    "index-partition-missing",
    "lexical-index-unfinished",
    "lexical-index-dead",
  ],
  tables: [
    "table-dead-rows",
    "autovacuum-disabled",
    "autovacuum-too-late",
    "statistics-missing",
    "statistics-stale",
    "table-unlogged",
    "hot-updates-low",
    "table-bloat",
    "vector-compression",
    "bulk-load-interrupted",
  ],
  activity: ["transaction-id-age", "long-transaction", "idle-in-transaction", "prepared-transaction", "slow-statement"],
  schema: [
    "schema-missing",
    "schema-pending",
    "schema-drift",
    "column-type-drift",
    "primary-key-missing",
    "trigger-missing",
    "grant-missing",
    "sequence-near-end",
  ],
  search: [
    "exact-search-chosen",
    "table-small",
    "index-scan-fell-back",
    "planner-cost",
    "filter-removes-most",
    "filter-not-leakproof",
    "estimate-wrong",
    "reads-from-disk",
    "sort-spills",
    "jit-overhead",
    "query-operator-mismatch",
    "query-casts-column",
    "query-order-descending",
    "query-order-not-bare",
    "query-without-limit",
  ],
} as const;

export type FindingId = (typeof PAGES)[keyof typeof PAGES][number];

/** `error`: results, data or isolation are at risk. `warning`: it costs time or space. `note`: nothing has to be done. */
export type Severity = "error" | "warning" | "note";

/** Something about an installation, or about one statement, that explains what its user sees. */
export interface DoctorFinding {
  /** Stable; one of the ids in `docs/findings/`, those of the tenancy linter included. */
  readonly id: string;
  readonly severity: Severity;
  /** The table, index, setting or the like. */
  readonly object: string;
  /** What was seen, with its figures. */
  readonly evidence: string;
  /** A command: SQL, or one of the command line. */
  readonly cure: string;
  /** Whether `doctor --fix` does it: nothing is lost by it and nobody is blocked. */
  readonly fixable: boolean;
  /** Where the documentation says more. */
  readonly page: string;
}

/** A finding that `doctor --fix` leaves alone. */
export function finding(
  id: FindingId,
  severity: Severity,
  object: string,
  evidence: string,
  cure: string,
): DoctorFinding {
  return { id, severity, object, evidence, cure, fixable: false, page: pageOf(id) };
}

/** A finding whose cure `doctor --fix` runs: SQL, one statement a line. */
export function fixable(...of: Parameters<typeof finding>): DoctorFinding {
  return { ...finding(...of), fixable: true };
}

/** The section of a finding; those without a page of ours are the tenancy linter's. */
export function pageOf(id: string): string {
  const page = Object.entries(PAGES).find(([, ids]) => (ids as readonly string[]).includes(id))?.[0] ?? "tenancy";
  return `docs/findings/${page}.md#${id}`;
}

/** Every id of ours, with its section. */
export const FINDING_PAGES: ReadonlyMap<string, string> = new Map(
  Object.values(PAGES).flatMap((ids) => ids.map((id) => [id, pageOf(id)] as const)),
);

/** A share as people write it. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

/** A size in the unit that suits it. */
export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, unit] = [bytes, 0];
  while (value >= 1_024 && unit < units.length - 1) [value, unit] = [value / 1_024, unit + 1];
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function countText(count: number): string {
  return Math.round(count).toLocaleString("en");
}
