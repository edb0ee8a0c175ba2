import { createHash } from "node:crypto";
import sql from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { quoteIdentifier, quoteLiteral, quoteQualified } from "../../db/identifiers.js";
import { scramVerifier } from "../../db/scram.js";
import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { ConfigurationError, TenantIsolationError } from "../../errors.js";
import { applySteps } from "../../schema/apply.js";
import { lexicalName, lexicalTables } from "../../schema/lexical.js";
import { EPOCHS_TABLE, MODELS_TABLE, PROCESSES_TABLE, REVISIONS_TABLE, TENANTS_TABLE } from "../../schema/layout.js";
import type { SchemaStep } from "../../schema/plan.js";
import { findTenantRelations, type SecuredRelation } from "../../schema/tenant-relations.js";
import type { OpenStore } from "../open.js";
import { requireAdministrator, stateOf, unknownTenant } from "./registry.js";

export interface LoginOptions {
  /** A role that is there already, or the name of the one to make. @defaultValue a name made from store and tenant */
  role?: string | undefined;
  /** Printable ASCII. Only its SCRAM verifier is sent. Without it the role gets none; psql's `\password` sets one. */
  password?: string | undefined;
}

/** A tenant's login, and what makes or removes it. */
export interface LoginPlan {
  readonly role: string;
  /** In order; empty when there is nothing to do. */
  readonly steps: readonly SchemaStep[];
}

/**
 * What gives a tenant its own login: the role, a restrictive policy for it on every table, then its rights. No effects,
 * and the password is not in it.
 *
 * @throws ConfigurationError when the store has no such tenant, or the role is more than a login.
 */
export async function planLogin(store: OpenStore, tenant: string, { role }: LoginOptions): Promise<LoginPlan> {
  return store.database.connection(async (session) => {
    await requireAdministrator(session, store);
    if ((await stateOf(session, store, tenant)) === undefined) throw unknownTenant(store, tenant);
    const facts = await readFacts(session, store, tenant, role);
    checkRole(facts);
    const relations = await findTenantRelations(session, store.schema, store.options.layout.table);
    const name = quoteIdentifier(facts.role);
    const steps: SchemaStep[] = [];
    if (!facts.exists) steps.push({ name: "tenant-login/role", sql: `create role ${name} login;\n` });
    for (const relation of [TENANTS_TABLE, ...relations.map((found) => found.name)]) {
      if (facts.policies.includes(relation)) continue;
      steps.push({
        name: "tenant-login/policy",
        sql: policySql(store, relation, facts.policy, name, tenant),
      });
    }
    steps.push({ name: "tenant-login/rights", sql: rightsSql(store, facts, relations) });
    return { role: facts.role, steps };
  });
}

/**
 * Gives a tenant its own login; safe to call again. @returns the role's name.
 *
 * @throws TenantIsolationError when the connection may not make roles.
 */
export async function createLogin(store: OpenStore, tenant: string, options: LoginOptions): Promise<string> {
  const verifier = options.password === undefined ? undefined : scramVerifier(options.password);
  const { role, steps } = await planLogin(store, tenant, options);
  const name = quoteIdentifier(role);
  try {
    await applySteps(store.database, steps);
    if (verifier !== undefined) {
      const step = { name: "tenant-login/password", sql: `alter role ${name} password ${quoteLiteral(verifier)};\n` };
      await applySteps(store.database, [step]);
    }
  } catch (error) {
    if (sqlstateOf(error) !== SQLSTATE.insufficientPrivilege) throw error;
    throw new TenantIsolationError(
      `This role may not make or change the login ${JSON.stringify(role)}. Let one with CREATEROLE run: ` +
        `create role ${name} login; then call this again.`,
      { cause: error },
    );
  }
  return role;
}

/** What takes a tenant's login away. The role itself goes only when it has the name that this library gives. */
export async function planDropLogin(
  session: Session,
  store: OpenStore,
  tenant: string,
  relations: readonly SecuredRelation[],
): Promise<LoginPlan | undefined> {
  const facts = await readFacts(session, store, tenant, undefined);
  const policy = quoteIdentifier(facts.policy);
  const drops = facts.policies.map((relation) => ({
    name: "drop-tenant-login/policy",
    sql: `drop policy if exists ${policy} on ${quoteQualified(store.schema, relation)};\n`,
  }));
  const role = facts.policyRole ?? (facts.exists ? facts.role : undefined);
  if (role === undefined) return drops.length === 0 ? undefined : { role: facts.role, steps: drops };
  const name = quoteIdentifier(role);
  const on = [...SHARED_TABLES, ...relations.map((found) => found.name)];
  const revokes =
    `revoke all on ${on.map((table) => quoteQualified(store.schema, table)).join(", ")} from ${name};\n` +
    sequencesOf(store, relations)
      .map((sequence) => `revoke all on sequence ${sequence} from ${name};\n`)
      .join("") +
    facts.schemas.map((schema) => `revoke usage on schema ${quoteIdentifier(schema)} from ${name};\n`).join("") +
    (facts.publicConnects ? "" : `revoke connect on database ${quoteIdentifier(facts.database)} from ${name};\n`);
  return {
    role,
    steps: [
      // First the rights: between two steps the role must never have more than before.
      { name: "drop-tenant-login/rights", sql: revokes },
      ...drops,
      ...(role === facts.ownName ? [{ name: DROP_ROLE, sql: `drop role ${name};\n` }] : []),
    ],
  };
}

/** Takes a tenant's login away. `dropped` is false when the role stays, without any rights here. */
export async function dropLogin(
  store: OpenStore,
  tenant: string,
  relations: readonly SecuredRelation[],
): Promise<{ role: string; dropped: boolean } | undefined> {
  const plan = await store.database.connection((session) => planDropLogin(session, store, tenant, relations));
  if (plan === undefined) return undefined;
  await applySteps(
    store.database,
    plan.steps.filter(({ name }) => name !== DROP_ROLE),
  );
  const drop = plan.steps.filter(({ name }) => name === DROP_ROLE);
  try {
    await applySteps(store.database, drop);
    return { role: plan.role, dropped: drop.length > 0 };
  } catch (error) {
    // The role has rights elsewhere, or belongs to another creator; here it can do nothing any more.
    const sqlstate = sqlstateOf(error);
    if (sqlstate !== SQLSTATE.insufficientPrivilege && sqlstate !== DEPENDENT_OBJECTS) throw error;
    return { role: plan.role, dropped: false };
  }
}

const SHARED_TABLES = [REVISIONS_TABLE, MODELS_TABLE, EPOCHS_TABLE, PROCESSES_TABLE, TENANTS_TABLE];
const DROP_ROLE = "drop-tenant-login/role";
const DEPENDENT_OBJECTS = "2BP01";

function policySql(store: OpenStore, relation: string, policy: string, role: string, tenant: string): string {
  const registry = quoteLiteral(quoteQualified(store.schema, TENANTS_TABLE));
  // Whoever made the role may have inherited it, and with it the policy: administrators see all tenants.
  return (
    `create policy ${quoteIdentifier(policy)} on ${quoteQualified(store.schema, relation)} as restrictive to ${role}\n` +
    `  using (tenant_id = ${quoteLiteral(tenant)} or has_table_privilege(${registry}::regclass, 'update'))\n` +
    `  with check (tenant_id = ${quoteLiteral(tenant)} or has_table_privilege(${registry}::regclass, 'update'));\n`
  );
}

/** The sequence that writers of the lexical index draw from, in a list; the index may be younger than the open store. */
function sequencesOf({ schema, options }: OpenStore, relations: readonly SecuredRelation[]): string[] {
  const { table } = options.layout;
  const [postings] = lexicalTables(table);
  return relations.some(({ name }) => name === postings) ? [lexicalName(schema, table, "segment")] : [];
}

function rightsSql(store: OpenStore, facts: LoginFacts, relations: readonly SecuredRelation[]): string {
  const role = quoteIdentifier(facts.role);
  const on = (name: string): string => quoteQualified(store.schema, name);
  return (
    (facts.publicConnects ? "" : `grant connect on database ${quoteIdentifier(facts.database)} to ${role};\n`) +
    facts.schemas.map((schema) => `grant usage on schema ${quoteIdentifier(schema)} to ${role};\n`).join("") +
    `grant select on ${[REVISIONS_TABLE, MODELS_TABLE, EPOCHS_TABLE].map(on).join(", ")} to ${role};\n` +
    `grant select, insert, update, delete on ${on(PROCESSES_TABLE)} to ${role};\n` +
    `grant select, insert on ${on(TENANTS_TABLE)} to ${role};\n` +
    `grant select, insert, update, delete on ${relations.map(({ name }) => on(name)).join(", ")} to ${role};\n` +
    sequencesOf(store, relations)
      .map((sequence) => `grant usage on sequence ${sequence} to ${role};\n`)
      .join("")
  );
}

interface LoginFacts {
  /** The name that a role made here has. */
  readonly ownName: string;
  readonly role: string;
  readonly exists: boolean;
  readonly powers: string[];
  readonly memberOf: string[];
  readonly policy: string;
  /** Tables that have the policy already. */
  readonly policies: string[];
  /** The role that the policy is for, when it is there. */
  readonly policyRole: string | undefined;
  readonly database: string;
  readonly publicConnects: boolean;
  /** Schemas that the login needs and that are not open to everybody. */
  readonly schemas: string[];
}

async function readFacts(
  session: Session,
  store: OpenStore,
  tenant: string,
  wanted: string | undefined,
): Promise<LoginFacts> {
  const { table } = store.options.layout;
  const policy = `langchain_pgvector_login_${digest(table, tenant).slice(0, 16)}`;
  const { rows: names } = await session.execute({
    name: "tenant-login-database",
    sql: sql`
      select current_database()::text as database, has_database_privilege('public', current_database(), 'connect') as connects,
        array(
          select distinct n.nspname::text from pg_namespace n
          where n.nspname in (${store.schema}::text, ${store.server.vector.schema}::text)
            and not has_schema_privilege('public', n.oid, 'usage')
        ) as schemas`,
  });
  const { database, connects, schemas } = names[0] as { database: string; connects: boolean; schemas: string[] };
  const { rows: policies } = await session.execute({
    name: "tenant-login-policies",
    sql: sql`
      select c.relname::text as relation, pg_get_userbyid(p.polroles[1])::text as role
      from pg_policy p join pg_class c on c.oid = p.polrelid
      where p.polname = ${policy}::text and not c.relispartition
        and c.relnamespace = (select oid from pg_namespace where nspname = ${store.schema}::text)
      order by 1`,
  });
  const policyRole = policies[0]?.["role"] as string | undefined;
  const ownName = roleName(database, store.schema, table, tenant);
  const role = wanted ?? policyRole ?? ownName;
  if (policyRole !== undefined && wanted !== undefined && wanted !== policyRole) {
    throw new ConfigurationError(
      `The tenant ${JSON.stringify(tenant)} has the login ${JSON.stringify(policyRole)} already; drop that first.`,
    );
  }
  const { rows: roles } = await session.execute({
    name: "tenant-login-role",
    sql: sql`
      select array_remove(array[
          case when rolsuper then 'superuser' end, case when rolbypassrls then 'bypassrls' end,
          case when rolcreaterole then 'createrole' end, case when rolreplication then 'replication' end
        ], null) as powers,
        array(
          select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid where m.member = r.oid
        ) as member_of
      from pg_roles r where rolname = ${role}::text`,
  });
  const found = roles[0] as { powers: string[]; member_of: string[] } | undefined;
  return {
    ownName,
    role,
    exists: found !== undefined,
    powers: found?.powers ?? [],
    memberOf: found?.member_of ?? [],
    policy,
    policies: policies.map((row) => row["relation"] as string),
    policyRole,
    database,
    publicConnects: connects,
    schemas,
  };
}

/** @throws ConfigurationError when the policy would not hold the role, or not alone. */
function checkRole({ role, powers, memberOf }: LoginFacts): void {
  if (powers.length === 0 && memberOf.length === 0) return;
  const reason = powers.length > 0 ? `is ${powers.join(", ")}` : `can become ${memberOf.join(", ")}`;
  throw new ConfigurationError(
    `The role ${JSON.stringify(role)} ${reason}, so it would not be held to one tenant. Name a role that is nothing else.`,
  );
}

/** Roles belong to the whole cluster, so the name tells databases and stores apart too. */
function roleName(database: string, schema: string, table: string, tenant: string): string {
  const readable = `${table}_${tenant}`.toLowerCase().replace(/[^a-z0-9]+/g, "_");
  return `lpv_${readable.slice(0, 40)}_${digest(database, schema, table, tenant).slice(0, 12)}`;
}

function digest(...parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}
