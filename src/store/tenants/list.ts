import sql, { join, raw } from "sql-template-tag";
import { identifier, qualified } from "../../db/identifiers.js";
import { administrationSettings } from "../../db/tenant-scope.js";
import { findTenantRelations, type SecuredRelation } from "../../schema/tenant-relations.js";
import type { OpenStore } from "../open.js";
import { registryOf, requireAdministrator, type TenantState } from "./registry.js";

/** One tenant of a store. */
export interface TenantInfo {
  readonly tenantId: string;
  readonly state: TenantState;
  /** When it was first listed. */
  readonly createdAt: Date;
  /** Chunks, in all collections. */
  readonly rows: number;
  /** Bytes of its rows in all tables, out-of-line values included, indexes and free space not. */
  readonly bytes: number;
}

/** Tenants that are counted at the same time; each takes a connection of the pool. */
const CONCURRENCY = 4;
/** Tuple header and line pointer. */
const ROW_OVERHEAD = 28;

/** Every tenant with counts and sizes, sorted by id. Reads each tenant in its own scope, so it costs a scan of all rows. */
export async function listTenants(store: OpenStore): Promise<TenantInfo[]> {
  const { listed, relations } = await store.database.connection(async (session) => {
    await requireAdministrator(session, store);
    const { rows } = await session.execute({
      name: "list-tenants",
      sql: sql`
        select tenant_id, state, created_at from ${registryOf(store)}
        where store = ${store.options.layout.table}::text order by tenant_id collate "C"`,
    });
    const found = await findTenantRelations(session, store.schema, store.options.layout.table);
    return { listed: rows as unknown as ListedRow[], relations: found };
  });
  const tenants: TenantInfo[] = [];
  let next = 0;
  const countOneByOne = async (): Promise<void> => {
    for (let index = next++; index < listed.length; index = next++) {
      const { tenant_id, state, created_at } = listed[index]!;
      const size = await measureTenant(store, relations, tenant_id);
      tenants[index] = { tenantId: tenant_id, state, createdAt: created_at, ...size };
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, listed.length) }, countOneByOne));
  return tenants;
}

/** Counts one tenant in one statement. */
export async function measureTenant(
  store: OpenStore,
  relations: readonly SecuredRelation[],
  tenant: string,
): Promise<{ rows: number; bytes: number }> {
  const counts = relations.map((relation) => {
    const sizes = relation.columns.map((column) => sql`coalesce(pg_column_size(${identifier(column)}), 0)`);
    return sql`
      select ${relation.name === store.options.layout.table}::bool as chunks, count(*) as rows,
        coalesce(sum(${join(sizes, " + ")} + ${raw(String(ROW_OVERHEAD))}), 0) as bytes
      from ${qualified(store.schema, relation.name)} where tenant_id = ${tenant}::text`;
  });
  const { rows } = await store.database.execute(
    {
      name: "measure-tenant",
      sql: sql`
        select coalesce(sum(c.rows) filter (where c.chunks), 0)::float8 as rows, sum(c.bytes)::float8 as bytes
        from (${join(counts, " union all ")}) as c`,
    },
    { settings: administrationSettings(tenant) },
  );
  return rows[0] as unknown as { rows: number; bytes: number };
}

interface ListedRow {
  tenant_id: string;
  state: TenantState;
  created_at: Date;
}
