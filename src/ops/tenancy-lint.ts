import { Database } from "../db/database.js";
import type { Layout } from "../schema/layout.js";
import { resolveOptions, resolvePool, type PostgresVectorStoreArgs } from "../store/options.js";
import { checkCopies } from "./tenancy-lint/copies.js";
import type { Finding } from "./tenancy-lint/finding.js";
import { checkFunctions } from "./tenancy-lint/functions.js";
import { checkGrants } from "./tenancy-lint/grants.js";
import { checkKeys } from "./tenancy-lint/keys.js";
import { checkPolicies } from "./tenancy-lint/policies.js";
import { checkPromotedKeys } from "./tenancy-lint/promoted-keys.js";
import { checkRoles } from "./tenancy-lint/roles.js";
import { checkRowSecurity } from "./tenancy-lint/row-security.js";
import { checkSessions, checkStoredSettings } from "./tenancy-lint/settings.js";
import { findTarget } from "./tenancy-lint/target.js";
import { checkViews } from "./tenancy-lint/views.js";

export type { Finding, FindingCode } from "./tenancy-lint/finding.js";

/**
 * Looks for what lets one tenant at another's data: row-level security that is off or not forced, changed and additional
 * policies, roles that no policy binds, keys and foreign keys without the tenant, views, copies, rights, functions and
 * settings that pass policies by. Reads catalogs, and rolls back the temporary tables with which it compares policies.
 *
 * @returns errors first; empty when nothing was found.
 * @throws SchemaVersionError when there is no such store.
 * @example
 * ```ts
 * const findings = await lintTenancy({ connectionString: process.env.DATABASE_URL, tableName: "articles" });
 * for (const { severity, message, cure } of findings) console.log(`${severity}: ${message}\n  ${cure}`);
 * ```
 */
export async function lintTenancy(config: PostgresVectorStoreArgs): Promise<Finding[]> {
  const { layout } = resolveOptions({ ...config, tenancy: "rls" });
  const { pool, owned } = resolvePool(config);
  try {
    return await lintLayout(new Database(pool), layout);
  } finally {
    if (owned) await pool.end();
  }
}

/** As {@link lintTenancy}, over a database that is open already. */
export async function lintLayout(database: Database, layout: Layout): Promise<Finding[]> {
  const findings = await database.connection(async (session) => {
    const target = await findTarget(session, layout);
    return [
      ...checkRowSecurity(target),
      ...(await checkPolicies(session, target)),
      ...(await checkRoles(session, target)),
      ...(await checkKeys(session, target)),
      ...(await checkPromotedKeys(session, target)),
      ...(await checkViews(session, target)),
      ...(await checkGrants(session, target)),
      ...(await checkFunctions(session, target)),
      ...(await checkStoredSettings(session)),
      ...(await checkCopies(session, target)),
    ];
  });
  const all = [...findings, ...(await checkSessions(database))];
  return all.toSorted((a, b) => Number(a.severity === "warning") - Number(b.severity === "warning"));
}
