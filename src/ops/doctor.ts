import { Database } from "../db/database.js";
import type { Layout } from "../schema/layout.js";
import { resolveOptions, resolvePool, type PostgresVectorStoreArgs } from "../store/options.js";
import { examine, type Diagnosis } from "./doctor/examine.js";
import { fixFindings, type FixedFinding, type FixOptions } from "./doctor/fix.js";
import type { DoctorLimits } from "./doctor/limits.js";

/**
 * Looks over a whole installation: versions, settings against the data, indexes, vacuum and statistics, transactions that
 * hold vacuum back, schema, tenancy, replication and slow statements. Changes nothing, and says what it could not see.
 *
 * @example
 * ```ts
 * const { findings } = await diagnose({ connectionString: process.env.DATABASE_URL, tableName: "articles" });
 * for (const { severity, evidence, cure } of findings) console.log(`${severity}: ${evidence}\n  ${cure}`);
 * ```
 */
export async function diagnose(
  config: PostgresVectorStoreArgs,
  options: { readonly limits?: Partial<DoctorLimits> } = {},
): Promise<Diagnosis> {
  return withDatabase(config, (database, layout) =>
    examine(database, layout, { appRole: config.appRole, limits: options.limits }),
  );
}

/** Cures the findings of {@link diagnose} that are `fixable`, one after the other; with `plan` only says which. */
export async function applyFixes(
  config: PostgresVectorStoreArgs,
  options: Omit<FixOptions, "appRole"> = {},
): Promise<FixedFinding[]> {
  return withDatabase(config, (database, layout) =>
    fixFindings(database, layout, { ...options, appRole: config.appRole }),
  );
}

async function withDatabase<T>(
  config: PostgresVectorStoreArgs,
  work: (database: Database, layout: Layout) => Promise<T>,
): Promise<T> {
  // What the table really has is found there; this only gives the app role its name.
  const { layout } = resolveOptions({ ...config, tenancy: "rls" });
  const { pool, owned } = resolvePool(config);
  try {
    return await work(new Database(pool), layout);
  } finally {
    if (owned) await pool.end();
  }
}
