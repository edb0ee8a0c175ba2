import { raw } from "sql-template-tag";
import type { Database } from "../../db/database.js";
import { LangChainPgvectorError } from "../../errors.js";
import { applySteps } from "../../schema/apply.js";
import type { Layout } from "../../schema/layout.js";
import { isAbandoned, readRecords, restore } from "../../store/bulk-load/maintenance.js";
import { compactLexical } from "../../store/lexical/compact.js";
import type { DoctorFinding } from "../../store/finding.js";
import { deadPlaces } from "./check-lexical.js";
import { examine, openAsAdministrator, tenancyOf, type ExamineOptions } from "./examine.js";
import { DOCTOR_LIMITS } from "./limits.js";

/** What became of one finding that can be fixed. */
export interface FixedFinding {
  readonly id: string;
  readonly object: string;
  /** What was run, or would be. */
  readonly cure: string;
  readonly outcome: "planned" | "fixed" | "failed";
  /** Why it failed. */
  readonly reason?: string;
}

export interface FixOptions extends ExamineOptions {
  /** Only says what would be done. */
  readonly plan?: boolean | undefined;
  readonly onProgress?: ((finding: DoctorFinding) => void) | undefined;
  /** Stops between two cures, and cancels the statement that runs. */
  readonly signal?: AbortSignal | undefined;
}

/** Runs what cannot be inside a transaction as it is. */
const OUTSIDE = /^(vacuum|reindex index concurrently|drop index concurrently|create index concurrently)\b/;

/**
 * Cures what can be cured without a decision: nothing is lost by it and nobody is blocked for longer than two seconds. One
 * cure that fails does not keep the others from being tried.
 */
export async function fixFindings(
  database: Database,
  layout: Layout,
  options: FixOptions = {},
): Promise<FixedFinding[]> {
  const { findings } = await examine(database, layout, options);
  const fixed: FixedFinding[] = [];
  for (const finding of findings.filter((found) => found.fixable)) {
    options.signal?.throwIfAborted();
    const { id, object, cure } = finding;
    if (options.plan) {
      fixed.push({ id, object, cure, outcome: "planned" });
      continue;
    }
    options.onProgress?.(finding);
    try {
      await fixOne(database, layout, finding, options);
      fixed.push({ id, object, cure, outcome: "fixed" });
    } catch (error) {
      if (!(error instanceof LangChainPgvectorError)) throw error;
      fixed.push({ id, object, cure, outcome: "failed", reason: error.message });
    }
  }
  return fixed;
}

async function fixOne(database: Database, layout: Layout, finding: DoctorFinding, options: FixOptions): Promise<void> {
  if (finding.id === "bulk-load-interrupted") return restoreLoads(database, layout, options);
  if (finding.id === "lexical-index-dead") return compactAll(database, layout, options);
  const lines = finding.cure.split("\n");
  if (!lines.some((line) => OUTSIDE.test(line))) {
    return applySteps(database, [{ name: `fix-${finding.id}`, sql: finding.cure }]);
  }
  for (const line of lines) {
    const statement = { name: `fix-${finding.id}`, sql: raw(line) };
    await database.connection((session) => session.execute(statement), options.signal);
  }
}

async function restoreLoads(database: Database, layout: Layout, options: FixOptions): Promise<void> {
  const store = await openAsAdministrator(database, await tenancyOf(database, layout, options.appRole));
  for (const record of (await readRecords(store)).filter(isAbandoned)) await restore(store, record, options.signal);
}

async function compactAll(database: Database, layout: Layout, options: FixOptions): Promise<void> {
  const store = await openAsAdministrator(database, await tenancyOf(database, layout, options.appRole));
  for (const { place } of (await deadPlaces(store, { ...DOCTOR_LIMITS, ...options.limits })) ?? []) {
    await compactLexical(store, store.lexical!, place, { signal: options.signal });
  }
}
