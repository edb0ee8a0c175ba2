import sql from "sql-template-tag";
import { qualified } from "../../db/identifiers.js";
import { backfillTables } from "../../schema/layout.js";
import type { OpenStore, ScopedStore } from "../../store/open.js";
import type { SetAsideRow } from "./options.js";

const LISTED = 100;

/** The rows that could not be embedded for a version: how many, and the first hundred. */
export async function listSetAside(
  store: OpenStore,
  scopes: readonly ScopedStore[],
  version: number,
): Promise<{ count: number; rows: SetAsideRow[] }> {
  const table = qualified(store.schema, backfillTables(store.options.layout)[1]);
  let count = 0;
  const rows: SetAsideRow[] = [];
  for (const scope of scopes) {
    const { rows: found } = await store.database.execute(
      {
        name: "list-set-aside",
        sql: sql`
          select tenant_id as tenant, collection, id, reason, (count(*) over ())::float8 as total from ${table}
          where tenant_id = ${scope.tenant}::text and version = ${version}::int4 order by collection, id limit ${LISTED}::int8`,
      },
      { settings: scope.settings },
    );
    count += (found[0]?.["total"] as number | undefined) ?? 0;
    const some = found as unknown as (SetAsideRow & { total: number })[];
    const fields = some.map(({ tenant, collection, id, reason }) => ({ tenant, collection, id, reason }));
    rows.push(...fields.slice(0, LISTED - rows.length));
  }
  return { count, rows };
}

/** Forgets what was set aside, so that it is tried again. */
export async function clearSetAside(scope: ScopedStore, version: number): Promise<void> {
  const table = qualified(scope.schema, backfillTables(scope.options.layout)[1]);
  await scope.database.execute(
    {
      name: "clear-set-aside",
      sql: sql`delete from ${table} where tenant_id = ${scope.tenant}::text and version = ${version}::int4`,
    },
    { settings: scope.settings },
  );
}
