import { quoteIdentifier, quoteLiteral, quoteQualified } from "../db/identifiers.js";
import { ConfigurationError } from "../errors.js";
import type { RelationState, SchemaState } from "./inspect.js";
import {
  backfillTables,
  EPOCHS_TABLE,
  loadsTable,
  messagesTable,
  migrationNames,
  MODELS_TABLE,
  PROCESSES_TABLE,
  render,
  REVISIONS_TABLE,
  sourceTables,
  TENANTS_TABLE,
  type Layout,
} from "./layout.js";
import { lexicalName, lexicalTables } from "./lexical.js";
import { TENANCY_SQL } from "./migrations.generated.js";
import type { SchemaStep } from "./plan.js";
import { tenantRelations } from "./tenant-relations.js";

/** SQL that turns row-level security on, forced, for one table of tenant data, with the policies of the library. */
export function rowSecuritySql(schema: string, layout: Layout, relation: string): string {
  return `\n${render(TENANCY_SQL, {
    ...migrationNames(schema, layout),
    relation: quoteQualified(schema, relation),
    store: quoteLiteral(layout.table),
  })}`;
}

/** Creates the app role when the cluster does not have it. */
export function planAppRole(state: SchemaState, layout: Layout): SchemaStep[] {
  if (layout.appRole === undefined || state.role.appRoleExists) return [];
  return [{ name: "app-role", sql: `create role ${quoteIdentifier(layout.appRole)} nologin;\n` }];
}

/**
 * Turns row-level security on for tables that are there without it.
 *
 * @throws ConfigurationError unless that is wanted, since whoever uses the table without a tenant would see nothing;
 * and when the table has it and the store is configured without.
 */
export function planTenancy(state: SchemaState, layout: Layout, wanted: boolean): SchemaStep[] {
  const table = JSON.stringify(layout.table);
  if (layout.tenancy === "off") {
    if (!state.chunks.rowSecurity) return [];
    throw new ConfigurationError(
      `The table ${table} keeps tenants apart by row-level security; set tenancy: "rls" and a tenantId to use it.`,
    );
  }
  const open: [string, RelationState | undefined][] = [
    [layout.table, state.chunks],
    [layout.collectionsTable ?? "", state.collections],
    [loadsTable(layout), state.loads],
    ...sourceTables(layout).map((name): [string, RelationState | undefined] => [name, state.sources]),
    [messagesTable(layout), state.messages],
    ...backfillTables(layout).map((name): [string, RelationState | undefined] => [name, state.backfills]),
    ...lexicalTables(layout.table).map((name): [string, RelationState | undefined] => [name, state.lexical]),
  ];
  const unsecured = open.filter(([, relation]) => relation?.exists === true && !relation.rowSecurity);
  if (unsecured.length === 0) return [];
  if (!wanted) {
    throw new ConfigurationError(
      `Tenancy is off for the table ${JSON.stringify(unsecured[0]![0])}, and turning it on closes it to whoever names no ` +
        `tenant. As the owner, run: npx langchain-pgvector init --table ${layout.table} --tenancy rls`,
    );
  }
  const sql = unsecured.map(([name]) => rowSecuritySql(state.schema, layout, name)).join("");
  return [{ name: "tenancy", sql: registerStoredTenants(state, layout) + sql }];
}

/** Lists the tenants whose rows are there already, while they can still be seen. */
function registerStoredTenants(state: SchemaState, layout: Layout): string {
  if (state.chunks.rowSecurity || !state.chunks.exists) return "";
  return (
    `insert into ${quoteQualified(state.schema, TENANTS_TABLE)} (tenant_id, store)\n` +
    `select distinct tenant_id, ${quoteLiteral(layout.table)} from ${quoteQualified(state.schema, layout.table)}\n` +
    "on conflict (tenant_id, store) do nothing;\n"
  );
}

/** Gives the app role what an application needs and no more: no DDL, no TRUNCATE, nothing on other tables. */
export function grantSteps(state: SchemaState, layout: Layout): SchemaStep[] {
  if (layout.appRole === undefined) return [];
  const tenancy = layout.tenancy === "rls";
  const lexical = state.lexical !== undefined || layout.lexical !== undefined;
  const own = [state.chunks, state.collections, state.loads, state.messages, state.sources, state.backfills];
  const relations = [...own, state.lexical, tenancy ? state.tenants : undefined];
  const unmade = lexical && state.lexical === undefined;
  if (!unmade && relations.every((relation) => relation === undefined || (relation.exists && relation.granted)))
    return [];
  const role = quoteIdentifier(layout.appRole);
  const on = (table: string): string => quoteQualified(state.schema, table);
  return [
    {
      name: "grants",
      sql:
        `grant usage on schema ${quoteIdentifier(state.schema)} to ${role};\n` +
        `grant select on ${on(REVISIONS_TABLE)}, ${on(MODELS_TABLE)}, ${on(EPOCHS_TABLE)} to ${role};\n` +
        `grant select, insert, update, delete on ${on(PROCESSES_TABLE)} to ${role};\n` +
        (tenancy ? `grant select, insert on ${on(TENANTS_TABLE)} to ${role};\n` : "") +
        `grant select, insert, update, delete on ${tenantRelations(layout, lexical).map(on).join(", ")} to ${role};\n` +
        (lexical ? `grant usage on sequence ${lexicalName(state.schema, layout.table, "segment")} to ${role};\n` : ""),
    },
  ];
}
