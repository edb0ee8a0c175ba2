/** What the linter knows to look for; stable, so that a finding can be accepted by name. */
export type FindingCode =
  | "row-security-off"
  | "row-security-not-forced"
  | "policy-missing"
  | "policy-changed"
  | "policies-unchecked"
  | "extra-policy"
  | "app-role-missing"
  | "app-role-bypasses"
  | "app-role-owns-table"
  | "member-bypasses"
  | "connection-bypasses"
  | "key-without-tenant"
  | "foreign-key-without-tenant"
  | "promoted-key-without-index"
  | "view-without-security-invoker"
  | "materialized-view-readable"
  | "materialized-view"
  | "excessive-grant"
  | "registry-writable"
  | "function-search-path"
  | "function-bypasses"
  | "tenant-setting-stored"
  | "tenant-setting-in-session"
  | "trigger-copies-rows"
  | "rule-copies-rows"
  | "publication-of-all-tenants"
  | "move-unfinished";

/** Something about the database by which one tenant may see or change another's data. */
export interface Finding {
  readonly code: FindingCode;
  /** `error`: isolation is broken or rests on the application alone. `warning`: it depends on what else is done. */
  readonly severity: "error" | "warning";
  /** The table, role, function or the like, as SQL writes it. */
  readonly object: string;
  readonly message: string;
  /** SQL that removes the cause; to be run by the owner of the object. */
  readonly cure: string;
}
