import sql from "sql-template-tag";
import { administrationSettings } from "../../db/tenant-scope.js";
import { findTenantRelations } from "../../schema/tenant-relations.js";
import { checkExpiry, expireChunks, type ExpireOptions } from "../expire.js";
import { scopeTo, type OpenStore } from "../open.js";
import { vacuumRelations } from "../vacuum.js";
import { toTenantId } from "../tenant.js";
import { registryOf, requireAdministrator, stateOf, unknownTenant } from "./registry.js";

export interface ExpireTenantsOptions extends Omit<ExpireOptions, "onProgress"> {
  /** The only tenant to look at. @defaultValue all */
  tenantId?: string | number | undefined;
  /** Whether suspended tenants lose rows too. @defaultValue false */
  includeSuspended?: boolean | undefined;
  /** Called after each transaction with the tenant and the chunks deleted so far, of all tenants. */
  onProgress?: ((tenantId: string, deleted: number) => void) | undefined;
}

/** Deletes what has expired, tenant by tenant and in all collections; see `TenantAdmin.expire`. */
export async function expireTenants(store: OpenStore, options: ExpireTenantsOptions): Promise<number> {
  const { signal, onProgress } = options;
  const { onProgress: _, ...rest } = options;
  const expiry = checkExpiry(rest);
  const only = options.tenantId === undefined ? undefined : toTenantId(options.tenantId);
  const states = options.includeSuspended ? sql`('active', 'suspended')` : sql`('active')`;
  const { tenants, relations } = await store.database.connection(async (session) => {
    await requireAdministrator(session, store);
    if (only !== undefined && (await stateOf(session, store, only)) === undefined) throw unknownTenant(store, only);
    const { rows } = await session.execute({
      name: "tenants-to-expire",
      sql: sql`
        select tenant_id from ${registryOf(store)}
        where store = ${store.options.layout.table}::text and state in ${states}
          and (${only ?? null}::text is null or tenant_id = ${only ?? null}::text)
        order by tenant_id collate "C"`,
    });
    const found = await findTenantRelations(session, store.schema, store.options.layout.table);
    return { tenants: rows.map((row) => row["tenant_id"] as string), relations: found };
  });
  let deleted = 0;
  for (const tenant of tenants) {
    const settings = administrationSettings(tenant);
    const { rows } = await store.database.execute(
      {
        name: "collections-to-expire",
        sql: sql`select distinct collection from ${store.table} where tenant_id = ${tenant}::text order by 1`,
      },
      { settings, signal },
    );
    for (const { collection } of rows as { collection: string }[]) {
      const scoped = { ...scopeTo(store, tenant), options: { ...store.options, collection } };
      for await (const count of expireChunks(scoped, expiry, settings, signal)) {
        deleted += count;
        onProgress?.(tenant, deleted);
      }
    }
  }
  const chunks = relations.filter(({ name }) => name === store.options.layout.table);
  if (deleted > 0) await vacuumRelations(store, chunks, signal);
  return deleted;
}
