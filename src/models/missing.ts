import sql from "sql-template-tag";
import type { Session } from "../db/database.js";
import { identifier } from "../db/identifiers.js";
import type { ModelVersion } from "../schema/layout.js";
import type { OpenStore, ScopedStore } from "../store/open.js";
import { enterScope, tenantRows } from "./tenant-scopes.js";

/** Rows of some tenants, and how many of them wait for their vector of a version. */
export interface Completeness {
  readonly rows: number;
  readonly missing: number;
}

/** Counts all rows, and those without a vector of the version. Reads the table. */
export async function completenessOf(
  store: OpenStore,
  scopes: readonly ScopedStore[],
  { column }: Pick<ModelVersion, "column">,
): Promise<Completeness> {
  let rows = 0;
  let missing = 0;
  for (const scope of scopes) {
    const { rows: found } = await store.database.execute(
      {
        name: "model-completeness",
        sql: sql`
          select count(*)::float8 as rows, (count(*) - count(${identifier(column)}))::float8 as missing
          from ${store.table} where ${tenantRows(scope)}`,
      },
      { settings: scope.settings },
    );
    rows += found[0]!["rows"] as number;
    missing += found[0]!["missing"] as number;
  }
  return { rows, missing };
}

/** Counts the rows without a vector of the version in a running transaction; fast where they are indexed. */
export async function countMissing(
  session: Session,
  store: OpenStore,
  scopes: readonly ScopedStore[],
  { column }: Pick<ModelVersion, "column">,
): Promise<number> {
  let missing = 0;
  for (const scope of scopes) {
    await enterScope(session, scope);
    const { rows } = await session.execute({
      name: "model-missing",
      sql: sql`
        select count(*)::float8 as missing from ${store.table}
        where ${tenantRows(scope)} and ${identifier(column)} is null`,
    });
    missing += rows[0]!["missing"] as number;
  }
  return missing;
}
