import type { OpenStore } from "../open.js";
import { toTenantId } from "../tenant.js";
import { findTenantRelations } from "../../schema/tenant-relations.js";
import { isolateTenant, planIsolation } from "../partitions/isolate.js";
import { mergeTenant, planMerge } from "../partitions/merge.js";
import type { MovedTenant, MoveOptions, MovePlan } from "../partitions/prepare.js";
import { deleteTenant, type DeletedTenant, type DeleteTenantOptions } from "./delete.js";
import { expireTenants, type ExpireTenantsOptions } from "./expire.js";
import { exportTenant, type ExportOptions } from "./export.js";
import type { ExportRecord } from "./export-record.js";
import { importTenant, type ImportOptions } from "./import.js";
import { listTenants, type TenantInfo } from "./list.js";
import { createLogin, dropLogin, planDropLogin, planLogin, type LoginOptions, type LoginPlan } from "./login.js";
import { changeState, createTenant, requireAdministrator } from "./registry.js";

/**
 * The life cycle of a store's tenants. For the role that made the store, or a superuser; needs no BYPASSRLS, since it
 * works tenant by tenant in the tenant's own scope.
 *
 * Every method rejects with a TenantIsolationError for other roles, and with a ConfigurationError for an id that cannot
 * be one.
 */
export class TenantAdmin {
  readonly #open: () => Promise<OpenStore>;

  constructor(open: () => Promise<OpenStore>) {
    this.#open = open;
  }

  /** All tenants with their state, counts and sizes, sorted by id. Costs a scan of all rows. */
  async list(): Promise<TenantInfo[]> {
    return listTenants(await this.#open());
  }

  /** Lists a tenant before its first write, which would do the same. @returns whether it is new. */
  create(tenantId: string | number): Promise<boolean> {
    return this.#inTransaction(tenantId, createTenant);
  }

  /**
   * Closes a tenant in the database: from the next statement on it reads and writes nothing, whoever asks. Its rows stay.
   *
   * @throws ConfigurationError when the store has no such tenant.
   */
  suspend(tenantId: string | number): Promise<void> {
    return this.#inTransaction(tenantId, (session, store, tenant) => changeState(session, store, tenant, "suspended"));
  }

  /** Opens a suspended tenant again. @throws ConfigurationError when the store has no such tenant. */
  resume(tenantId: string | number): Promise<void> {
    return this.#inTransaction(tenantId, (session, store, tenant) => changeState(session, store, tenant, "active"));
  }

  /**
   * Deletes a tenant completely: closes it, deletes its rows from every table in short transactions, waits for
   * transactions that began before, verifies that nothing is left, vacuums where the role may, takes its login away and
   * forgets it. After an abort, an error or a kill the tenant stays closed, and another call goes on.
   *
   * A later write under the same id makes a new tenant.
   */
  async delete(tenantId: string | number, options: DeleteTenantOptions = {}): Promise<DeletedTenant> {
    const tenant = toTenantId(tenantId);
    return deleteTenant(await this.#open(), tenant, options);
  }

  /**
   * A tenant's rows with their embeddings, read page by page: a header, its collections, its chunks, an end. Also of a
   * suspended tenant, which is how to get a copy of one point in time. The vectors are of one model version throughout,
   * also when another becomes the active one meanwhile.
   *
   * @throws UnknownModelError when that version is retired before the export ends.
   */
  export(tenantId: string | number, options: ExportOptions = {}): AsyncIterable<ExportRecord> {
    return exportTenant(this.#open, toTenantId(tenantId), options);
  }

  /**
   * Stores an export as rows of a tenant, overwriting those of the same id, without embedding anything.
   *
   * @returns the number of chunks.
   * @throws UnknownModelError, DimensionMismatchError before anything is written, for vectors of another model.
   * @throws TenantIsolationError when the tenant is suspended or being deleted.
   * @throws IngestError when the export is damaged or cut off; what came before is stored.
   */
  async import(
    tenantId: string | number,
    source: AsyncIterable<ExportRecord> | Iterable<ExportRecord>,
    options: ImportOptions = {},
  ): Promise<number> {
    const tenant = toTenantId(tenantId);
    return importTenant(await this.#open(), tenant, source, options);
  }

  /**
   * Deletes chunks of all active tenants, in all collections, by age and by filter. @returns how many.
   *
   * @throws ConfigurationError when nothing says what expires.
   */
  async expire(options: ExpireTenantsOptions): Promise<number> {
    return expireTenants(await this.#open(), options);
  }

  /**
   * Gives a tenant a login role of its own, which the database holds to that tenant even when it runs any SQL: it has
   * its rights itself and is a member of nothing. Safe to call again, and needed again when the store gets new tables.
   *
   * @returns the role's name.
   */
  async login(tenantId: string | number, options: LoginOptions = {}): Promise<string> {
    const tenant = toTenantId(tenantId);
    return createLogin(await this.#open(), tenant, options);
  }

  /** What {@link login} would run. No effects. */
  async planLogin(tenantId: string | number, options: LoginOptions = {}): Promise<LoginPlan> {
    const tenant = toTenantId(tenantId);
    return planLogin(await this.#open(), tenant, options);
  }

  /** Takes a tenant's login away; `undefined` when it had none. */
  async dropLogin(tenantId: string | number): Promise<{ role: string; dropped: boolean } | undefined> {
    const tenant = toTenantId(tenantId);
    const store = await this.#open();
    return dropLogin(store, tenant, await this.#relations(store));
  }

  /** What {@link dropLogin} would run; `undefined` when the tenant has no login. No effects. */
  async planDropLogin(tenantId: string | number): Promise<LoginPlan | undefined> {
    const tenant = toTenantId(tenantId);
    const store = await this.#open();
    const relations = await this.#relations(store);
    return store.database.connection((session) => planDropLogin(session, store, tenant, relations));
  }

  /**
   * Moves a large tenant to a partition of its own, on a table made with `partitions: "by-tenant"`. Its searches then use an
   * index that holds its vectors alone, and deleting its rows is nobody else's work.
   *
   * Reads and writes go on while the rows are copied, each change following into the copy by a trigger, and while indexes
   * are built. At the end the tenant's writes wait for at most `maxWriteBlockMs` (those of this library; others are turned
   * away with SQLSTATE 40001), and all statements on the table for some 10 ms, or 300 ms for each attempt at the lock. After
   * an abort, an error or a kill the tenant is where it was, and another call goes on; {@link merge} takes it back.
   *
   * Needs a connection of its own for as long as it takes, straight to the server.
   *
   * @throws ConfigurationError when the table is not partitioned, or the store has no such tenant.
   * @throws DatabaseError, retryable, when another move is at work, or long transactions leave no room for the switch.
   */
  async isolate(tenantId: string | number, options: MoveOptions = {}): Promise<MovedTenant> {
    const tenant = toTenantId(tenantId);
    return isolateTenant(await this.#open(), tenant, options);
  }

  /** What {@link isolate} would do, with the SQL. No effects. */
  async planIsolate(tenantId: string | number): Promise<MovePlan> {
    const tenant = toTenantId(tenantId);
    return planIsolation(await this.#open(), tenant);
  }

  /**
   * Moves a tenant back to the partition that tenants share. That partition is made anew, with the tenant's rows in it, so
   * this costs a copy of it and as much disk for that time. Everything else is as with {@link isolate}.
   */
  async merge(tenantId: string | number, options: MoveOptions = {}): Promise<MovedTenant> {
    const tenant = toTenantId(tenantId);
    return mergeTenant(await this.#open(), tenant, options);
  }

  /** What {@link merge} would do, with the SQL. No effects. */
  async planMerge(tenantId: string | number): Promise<MovePlan> {
    const tenant = toTenantId(tenantId);
    return planMerge(await this.#open(), tenant);
  }

  #relations(store: OpenStore): ReturnType<typeof findTenantRelations> {
    return store.database.connection(async (session) => {
      await requireAdministrator(session, store);
      return findTenantRelations(session, store.schema, store.options.layout.table);
    });
  }

  async #inTransaction<T>(
    tenantId: string | number,
    work: (session: Parameters<typeof createTenant>[0], store: OpenStore, tenant: string) => Promise<T>,
  ): Promise<T> {
    const tenant = toTenantId(tenantId);
    const store = await this.#open();
    return store.database.transaction({}, async (session) => {
      await requireAdministrator(session, store);
      return work(session, store, tenant);
    });
  }
}
