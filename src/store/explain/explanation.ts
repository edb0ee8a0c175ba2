import type { DoctorFinding } from "../finding.js";
import type { ExplainedPlan, TableAccess } from "./plan.js";

/** One statement of a search, as it ran. */
export interface ExplainedStatement {
  /** The name under which `pg_stat_statements` shows it; `query` for one of the caller's. */
  readonly name: string;
  readonly planningMs: number;
  readonly executionMs: number;
  /** The vector index that gave the order; `undefined` when every candidate's distance was computed. */
  readonly vectorIndex: string | undefined;
  readonly tables: readonly TableAccess[];
  /** Blocks of 8 kB: from the server's memory, from outside of it, and written to temporary files. */
  readonly blocks: { readonly hit: number; readonly read: number; readonly temporary: number };
  /** Planner settings that are not the server's defaults. */
  readonly settings: Readonly<Record<string, string>>;
  /** What Postgres itself says. */
  readonly plan: ExplainedPlan;
}

/** What a search did in the database, and why. */
export interface Explanation {
  /** In the order in which they ran; more than one when the first did not find enough. */
  readonly statements: readonly ExplainedStatement[];
  readonly findings: readonly DoctorFinding[];
  /** Both in words. */
  readonly text: string;
}
