import { ConfigurationError, MissingTenantError } from "../errors.js";

/** A tenant's id, or a function that says which one a call is for. */
export type TenantId = string | number | (() => string | number | undefined);

/** Beside it an entry of the primary key has to hold a collection of 500 and an id of 2,000 bytes, of 2,704 in all. */
export const MAX_TENANT_BYTES = 180;

/**
 * A tenant id as the text that is stored.
 *
 * @throws ConfigurationError when it cannot be one.
 */
export function toTenantId(value: unknown): string {
  if (typeof value === "number" && Number.isSafeInteger(value)) return String(value);
  if (typeof value !== "string" || value === "") {
    throw new ConfigurationError(`A tenantId is a non-empty string or a whole number, got ${describe(value)}.`);
  }
  if (value.includes("\0") || !value.isWellFormed() || Buffer.byteLength(value) > MAX_TENANT_BYTES) {
    throw new ConfigurationError(
      `The tenantId ${describe(value)} holds a NUL or half of a surrogate pair, or has more than ${MAX_TENANT_BYTES} bytes.`,
    );
  }
  return value;
}

/** Turns the option into what every call asks. @throws MissingTenantError when no tenant is named for the call. */
export function tenantResolver(tenantId: TenantId | undefined): () => string {
  if (typeof tenantId !== "function") {
    const fixed = tenantId === undefined ? undefined : toTenantId(tenantId);
    return () => named(fixed);
  }
  return () => {
    const value = tenantId();
    return named(value === undefined ? undefined : toTenantId(value));
  };
}

function named(tenant: string | undefined): string {
  if (tenant !== undefined) return tenant;
  throw new MissingTenantError(
    'Tenancy is "rls" and this call names no tenant. Set `tenantId`, or use store.forTenant(id).',
  );
}

function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 40));
  if (typeof value === "number" || typeof value === "bigint") return `the ${typeof value} ${value}`;
  return value === null ? "null" : `a value of type ${typeof value}`;
}
