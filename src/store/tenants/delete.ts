import sql, { empty, join, raw, type Sql } from "sql-template-tag";
import { identifier, qualified } from "../../db/identifiers.js";
import { pause } from "../../db/pause.js";
import { administrationSettings } from "../../db/tenant-scope.js";
import { DatabaseError } from "../../errors.js";
import { findTenantRelations, type SecuredRelation } from "../../schema/tenant-relations.js";
import type { OpenStore } from "../open.js";
import { integer } from "../options.js";
import { removePartition } from "../partitions/remove.js";
import { vacuumRelations } from "../vacuum.js";
import { dropLogin } from "./login.js";
import { removeOwnIndexes } from "./own-indexes.js";
import { markDeleting, removeTenant, requireAdministrator } from "./registry.js";
import { waitForEarlierTransactions } from "./settle.js";

export interface DeleteTenantOptions {
  /** Rows of one transaction. @defaultValue 500 */
  batchRows?: number | undefined;
  /** Pause between two transactions, in milliseconds: what searches get of the machine. @defaultValue 20 */
  pauseMs?: number | undefined;
  /**
   * Whether the tables are vacuumed at the end. Vacuuming reads the whole vector index, so whoever deletes many tenants
   * does it with the last one.
   * @defaultValue true
   */
  vacuum?: boolean | undefined;
  onProgress?: ((progress: DeleteTenantProgress) => void) | undefined;
  /** Stops between two batches, or in the vacuum. The tenant stays closed; another call goes on. */
  signal?: AbortSignal | undefined;
}

export interface DeleteTenantProgress {
  /** `waiting`: for transactions that began before the deletion. */
  readonly phase: "deleting" | "waiting" | "vacuuming";
  /** Rows deleted by this call so far, in all tables. */
  readonly deleted: number;
  readonly message: string;
}

export interface DeletedTenant {
  readonly tenantId: string;
  /** Rows deleted by this call, in all tables; 0 when there was nothing. */
  readonly deleted: number;
  /** Tables that were not vacuumed: the role may not, its time-outs are too short, or `vacuum` was false. */
  readonly notVacuumed: readonly string[];
  /** The tenant's own login, when it had one: it has lost all rights. */
  readonly login: { readonly role: string; readonly dropped: boolean } | undefined;
}

const MAX_PASSES = 10;

/** Deletes a tenant completely; see `TenantAdmin.delete`. */
export async function deleteTenant(
  store: OpenStore,
  tenant: string,
  options: DeleteTenantOptions,
): Promise<DeletedTenant> {
  const { onProgress, signal, vacuum = true } = options;
  const batchRows = integer("batchRows", options.batchRows, 1, 100_000) ?? 500;
  const pauseMs = integer("pauseMs", options.pauseMs, 0, 60_000) ?? 20;
  signal?.throwIfAborted();
  const relations = await store.database.transaction({}, async (session) => {
    await requireAdministrator(session, store);
    await markDeleting(session, store, tenant);
    return findTenantRelations(session, store.schema, store.options.layout.table);
  });

  let deleted = 0;
  const report = (phase: DeleteTenantProgress["phase"], message: string): void =>
    onProgress?.({ phase, deleted, message });
  for (let pass = 1; ; pass += 1) {
    for (const relation of relations) {
      for await (const rows of deleteInBatches(store, relation, tenant, batchRows, pauseMs, signal)) {
        deleted += rows;
        report("deleting", `${deleted.toLocaleString("en")} rows deleted`);
      }
    }
    if (pass === 1) {
      await waitForEarlierTransactions(
        store.database,
        relations,
        (open) => report("waiting", `waiting for ${open} transactions that began before the deletion`),
        signal,
      );
    }
    // Whoever was waited for may have written behind this pass.
    const left = await countRows(store, relations, tenant);
    if (left === 0) break;
    if (pass === MAX_PASSES) {
      throw new DatabaseError(
        `Tenant ${JSON.stringify(tenant)}: ${left} rows were still there after ${pass} passes. A role that row-level ` +
          "security does not bind keeps writing them; stop it, then call delete again.",
        undefined,
        true,
      );
    }
  }

  await removePartition(store, tenant, signal);
  await removeOwnIndexes(store, tenant, signal);
  if (vacuum) report("vacuuming", "vacuuming, so that the space can be used again");
  const notVacuumed = vacuum ? await vacuumRelations(store, relations, signal) : relations.map(({ name }) => name);
  const login = await dropLogin(store, tenant, relations);
  await store.database.transaction({}, (session) => removeTenant(session, store, tenant));
  return { tenantId: tenant, deleted, notVacuumed, login };
}

/** Deletes a tenant's rows of one table in the order of its key, and yields how many each transaction deleted. */
async function* deleteInBatches(
  store: OpenStore,
  relation: SecuredRelation,
  tenant: string,
  batchRows: number,
  pauseMs: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<number> {
  let last: readonly string[] | undefined;
  for (;;) {
    signal?.throwIfAborted();
    const statement = { name: "delete-tenant-rows", sql: batchSql(store, relation, tenant, batchRows, last) };
    const { rows } = await store.database.transaction(administrationSettings(tenant), (session) =>
      session.execute(statement),
    );
    const row = rows[0] as { count: number; keys: string[] } | undefined;
    if (row === undefined) return;
    yield row.count;
    last = row.keys;
    if (row.count < batchRows) return;
    await pause(pauseMs, signal);
  }
}

/**
 * One batch, with the key of its last row. It starts behind the last batch, because index entries of deleted rows are
 * read again and again until they are vacuumed.
 */
function batchSql(
  store: OpenStore,
  { name, keys }: SecuredRelation,
  tenant: string,
  batchRows: number,
  last: readonly string[] | undefined,
): Sql {
  const table = qualified(store.schema, name);
  const columns = keys.map((key) => identifier(key.name));
  const order = columns.length === 0 ? sql`tenant_id` : join(columns);
  const behind =
    last === undefined || columns.length === 0
      ? empty
      : sql`and (${join(columns)}) > (${join(last.map((key, i) => sql`${key}::text::${raw(keys[i]!.type)}`))})`;
  const texts =
    columns.length === 0 ? raw("'{}'::text[]") : sql`array[${join(columns.map((key) => sql`${key}::text`))}]`;
  return sql`
    with batch as materialized (
      select ctid as "at", ${texts} as keys, row_number() over (order by ${order}) as position
      from ${table} where tenant_id = ${tenant}::text ${behind}
      order by ${order} limit ${batchRows}::int8
    ), deleted as (
      delete from ${table} where ctid = any(array(select "at" from batch)) and tenant_id = ${tenant}::text
    )
    select position::float8 as count, keys from batch order by position desc limit 1`;
}

async function countRows(store: OpenStore, relations: readonly SecuredRelation[], tenant: string): Promise<number> {
  const counts = relations.map(
    ({ name }) => sql`(select count(*) from ${qualified(store.schema, name)} where tenant_id = ${tenant}::text)`,
  );
  const { rows } = await store.database.execute(
    { name: "verify-tenant-deleted", sql: sql`select (${join(counts, " + ")})::float8 as left` },
    { settings: administrationSettings(tenant) },
  );
  return rows[0]!["left"] as number;
}
