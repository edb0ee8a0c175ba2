import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { TenantIsolationError } from "../../errors.js";
import type { ScopedStore } from "../open.js";
import { stateOf, type TenantState } from "./registry.js";

const WHY: Partial<Record<TenantState, string>> = {
  suspended: "is suspended: it reads and writes nothing until it is resumed (tenants resume)",
  deleting: "is being deleted: it reads and writes nothing any more",
};

/**
 * What a refused write of a tenant is to be reported as: a TenantIsolationError that says why when row-level security
 * refused it, else the error itself.
 */
export async function explainRefusal(store: ScopedStore, error: unknown): Promise<unknown> {
  if (store.options.layout.tenancy === "off" || sqlstateOf(error) !== SQLSTATE.insufficientPrivilege) return error;
  const tenant = JSON.stringify(store.tenant);
  const state = await store.database
    .transaction(store.settings, (session) => stateOf(session, store, store.tenant))
    .catch(() => undefined);
  const why = state === undefined ? undefined : WHY[state];
  if (why !== undefined)
    return new TenantIsolationError(`Nothing was written: the tenant ${tenant} ${why}.`, { cause: error });
  // The same code stands for a missing right on the table; only the driver's error tells which part of the server it was.
  const routine = ((error as Error).cause as { routine?: unknown } | undefined)?.routine;
  if (routine !== "ExecWithCheckOptions") return error;
  return new TenantIsolationError(
    `Nothing was written: row-level security refused rows of the tenant ${tenant} to this role.`,
    { cause: error },
  );
}
