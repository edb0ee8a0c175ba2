import sql, { type Sql } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { qualified, quoteQualified } from "../../db/identifiers.js";
import { ConfigurationError, TenantIsolationError } from "../../errors.js";
import { TENANTS_TABLE } from "../../schema/layout.js";
import type { OpenStore } from "../open.js";

/**
 * `suspended`: the tenant reads and writes nothing, its rows are kept. `deleting`: its rows are going, or gone but for
 * the last step; only another call of `delete` goes on from there.
 */
export type TenantState = "active" | "suspended" | "deleting";

/** The table that lists tenants, as a fragment. */
export function registryOf(store: OpenStore): Sql {
  return qualified(store.schema, TENANTS_TABLE);
}

/**
 * @throws TenantIsolationError unless the connection may see and change all tenants: the role that made the store, a
 * member of it, or a superuser.
 */
export async function requireAdministrator(session: Session, store: OpenStore): Promise<void> {
  const registry = quoteQualified(store.schema, TENANTS_TABLE);
  const { rows } = await session.execute({
    name: "tenant-administrator",
    sql: sql`
      select me.rolname::text as name, t.oid is not null as exists, pg_get_userbyid(t.relowner)::text as owner,
        me.rolsuper or me.rolbypassrls or (has_table_privilege(t.oid, 'update') and exists (
          select from pg_policy p cross join unnest(p.polroles) as r (oid)
          where p.polrelid = t.oid and p.polname = 'langchain_pgvector_admin'
            and (r.oid = 0 or pg_has_role(current_user, r.oid, 'usage'))
        )) as allowed
      from pg_roles me left join pg_class t on t.oid = to_regclass(${registry}::text)
      where me.rolname = current_user`,
  });
  const row = rows[0] as { name: string; exists: boolean; owner: string; allowed: boolean } | undefined;
  if (row?.allowed) return;
  throw new TenantIsolationError(
    `The role ${JSON.stringify(row?.name)} may not administer the tenants of ${JSON.stringify(store.options.layout.table)}. ` +
      `Connect as the role that made the store, ${JSON.stringify(row?.owner)}.`,
  );
}

/** The tenant's state; `undefined` when the store does not have it. */
export async function stateOf(session: Session, store: OpenStore, tenant: string): Promise<TenantState | undefined> {
  const { rows } = await session.execute({
    name: "tenant-state",
    sql: sql`
      select state from ${registryOf(store)}
      where tenant_id = ${tenant}::text and store = ${store.options.layout.table}::text`,
  });
  return rows[0]?.["state"] as TenantState | undefined;
}

/** Lists a tenant as active unless it is there. @returns whether it is new. */
export async function createTenant(session: Session, store: OpenStore, tenant: string): Promise<boolean> {
  const { rowCount } = await session.execute({
    name: "create-tenant",
    sql: sql`
      insert into ${registryOf(store)} (tenant_id, store)
      values (${tenant}::text, ${store.options.layout.table}::text)
      on conflict (tenant_id, store) do nothing`,
  });
  const created = (rowCount ?? 0) > 0;
  if (!created && (await stateOf(session, store, tenant)) === "deleting") throw beingDeleted(tenant);
  return created;
}

/**
 * Suspends or resumes a tenant; it may be in that state already.
 *
 * @throws ConfigurationError when the store has no such tenant.
 * @throws TenantIsolationError when it is being deleted, from which there is no way back.
 */
export async function changeState(
  session: Session,
  store: OpenStore,
  tenant: string,
  state: "active" | "suspended",
): Promise<void> {
  const { rowCount } = await session.execute({
    name: "tenant-change-state",
    sql: sql`
      update ${registryOf(store)} set state = ${state}::text
      where tenant_id = ${tenant}::text and store = ${store.options.layout.table}::text and state <> 'deleting'`,
  });
  if ((rowCount ?? 0) > 0) return;
  throw (await stateOf(session, store, tenant)) === "deleting" ? beingDeleted(tenant) : unknownTenant(store, tenant);
}

/** Marks a tenant as being deleted, listed or not. */
export async function markDeleting(session: Session, store: OpenStore, tenant: string): Promise<void> {
  await session.execute({
    name: "tenant-mark-deleting",
    sql: sql`
      insert into ${registryOf(store)} as t (tenant_id, store, state)
      values (${tenant}::text, ${store.options.layout.table}::text, 'deleting')
      on conflict (tenant_id, store) do update set state = 'deleting' where t.state <> 'deleting'`,
  });
}

/** Forgets a tenant that is being deleted. */
export async function removeTenant(session: Session, store: OpenStore, tenant: string): Promise<void> {
  await session.execute({
    name: "remove-tenant",
    sql: sql`
      delete from ${registryOf(store)}
      where tenant_id = ${tenant}::text and store = ${store.options.layout.table}::text and state = 'deleting'`,
  });
}

export function unknownTenant(store: OpenStore, tenant: string): ConfigurationError {
  return new ConfigurationError(
    `The store ${JSON.stringify(store.options.layout.table)} has no tenant ${JSON.stringify(tenant)}; ` +
      "`tenants list` shows those that it has, `tenants create` adds one.",
  );
}

function beingDeleted(tenant: string): TenantIsolationError {
  return new TenantIsolationError(
    `The tenant ${JSON.stringify(tenant)} is being deleted; call delete again to finish that first.`,
  );
}
