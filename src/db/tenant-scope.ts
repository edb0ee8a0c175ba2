import type { Settings } from "./settings.js";

/** The setting that row-level security compares `tenant_id` with. */
export const TENANT_SETTING = "app.current_tenant";

/**
 * The settings that put one transaction into the scope of one tenant: the only place that says how.
 *
 * @param role the role to work as, when the connection's own is one that row-level security does not bind.
 */
export function tenantSettings(tenant: string, role: string | undefined): Settings {
  return { ...(role !== undefined && { role }), [TENANT_SETTING]: tenant };
}

/** The setting with which a role that may change the tenant's state looks through its suspension or deletion. */
const ADMINISTRATION_SETTING = "app.tenant_administration";

/** The scope of one tenant for its administrator, whatever the tenant's state. No other role gains anything by it. */
export function administrationSettings(tenant: string): Settings {
  return { [TENANT_SETTING]: tenant, [ADMINISTRATION_SETTING]: tenant };
}
