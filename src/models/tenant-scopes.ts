import sql, { type Sql } from "sql-template-tag";
import type { Session } from "../db/database.js";
import { qualified } from "../db/identifiers.js";
import { administrationSettings } from "../db/tenant-scope.js";
import { TENANTS_TABLE } from "../schema/layout.js";
import { scopeTo, type OpenStore, type ScopedStore } from "../store/open.js";
import { DEFAULT_TENANT } from "../store/options.js";
import { requireAdministrator } from "../store/tenants/registry.js";

/**
 * The store in the scope of each of its tenants, for whoever administers it; without tenancy of the one that there is.
 *
 * @throws TenantIsolationError for a role that may not see all tenants.
 */
export async function tenantScopes(store: OpenStore): Promise<ScopedStore[]> {
  const { layout } = store.options;
  if (layout.tenancy === "off") return [scopeTo(store, DEFAULT_TENANT)];
  const rows = await store.database.connection(async (session) => {
    await requireAdministrator(session, store);
    const found = await session.execute({
      name: "model-tenants",
      sql: sql`
        select tenant_id from ${qualified(store.schema, TENANTS_TABLE)}
        where store = ${layout.table}::text and state <> 'deleting' order by tenant_id`,
    });
    return found.rows as { tenant_id: string }[];
  });
  return rows.map(({ tenant_id }) => administratorOf(store, tenant_id));
}

/** The store in the scope of one tenant, whatever its state, for its administrator. */
export function administratorOf(store: OpenStore, tenant: string): ScopedStore {
  const scoped = scopeTo(store, tenant);
  return store.options.layout.tenancy === "off" ? scoped : { ...scoped, settings: administrationSettings(tenant) };
}

/** Puts a running transaction into another tenant's scope. */
export async function enterScope(session: Session, { settings }: ScopedStore): Promise<void> {
  for (const [name, value] of Object.entries(settings)) {
    await session.execute({ name: "enter-scope", sql: sql`select set_config(${name}::text, ${value}::text, true)` });
  }
}

/** All rows of a scope's tenant, in whatever collection. */
export function tenantRows({ tenant }: ScopedStore): Sql {
  return sql`tenant_id = ${tenant}::text`;
}
