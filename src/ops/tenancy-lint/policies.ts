import sql, { raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { quoteIdentifier } from "../../db/identifiers.js";
import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { migrationNames, render } from "../../schema/layout.js";
import { TENANTS_MIGRATIONS } from "../../schema/migrations.generated.js";
import { rowSecuritySql } from "../../schema/tenancy.js";
import { MOVE_POLICY } from "../../store/partitions/target.js";
import { BACKUP_POLICY } from "../backup/policy.js";
import type { Finding } from "./finding.js";
import type { LintRelation, LintTarget } from "./target.js";

interface Policy {
  readonly relation: string;
  readonly name: string;
  readonly command: string;
  readonly permissive: boolean;
  readonly toPublic: boolean;
  /** Whether it is in force for the app role. */
  readonly toApp: boolean;
  readonly using: string | null;
  readonly check: string | null;
  readonly comment: string | null;
}

/** For the role that made the registry: it sees all tenants there, and only there. */
const ADMIN_POLICY = "langchain_pgvector_admin";

/**
 * Policies that are missing, changed or too many. What they should be is asked of Postgres itself: the library's own SQL
 * is run on temporary tables in a transaction that is rolled back, so that both sides are printed by the same server.
 */
export async function checkPolicies(session: Session, target: LintTarget): Promise<Finding[]> {
  const present = await readPolicies(session, target, target.oids.toText());
  const extra = target.relations.flatMap((relation) => checkExtra(relation, present));
  const expected = await expectedPolicies(session, target);
  if (expected === undefined) return [...extra, await unchecked(session)];
  const wrong = target.relations.flatMap((relation) =>
    expected
      .filter((policy) => policy.relation === (relation.registry ? "registry" : "data"))
      .flatMap((policy) => checkOne(target, relation, policy, present)),
  );
  return [...wrong, ...extra];
}

function checkOne(target: LintTarget, relation: LintRelation, expected: Policy, present: readonly Policy[]): Finding[] {
  const found = present.find(({ relation: oid, name }) => oid === relation.oid && name === expected.name);
  const create = policySql(target, relation, expected.name);
  if (found === undefined) {
    return [
      {
        code: "policy-missing",
        severity: "error",
        object: `${expected.name} on ${relation.name}`,
        message: `The policy ${expected.name} on ${relation.name} is missing.`,
        cure: create,
      },
    ];
  }
  // Whom the administrator's policy is for depends on who made the registry.
  const same =
    found.command === expected.command &&
    found.permissive === expected.permissive &&
    found.using === expected.using &&
    found.check === expected.check &&
    found.comment === expected.comment &&
    (expected.name === ADMIN_POLICY ? !found.toPublic && !found.toApp : found.toPublic);
  if (same) return [];
  return [
    {
      code: "policy-changed",
      severity: "error",
      object: `${expected.name} on ${relation.name}`,
      message:
        `The policy ${expected.name} on ${relation.name} is not what the library made: ` +
        `using ${found.using ?? "nothing"}, with check ${found.check ?? "the same"}.`,
      cure: `begin;\ndrop policy ${quoteIdentifier(expected.name)} on ${relation.name};\n${create}\ncommit;`,
    },
  ];
}

function checkExtra(relation: LintRelation, present: readonly Policy[]): Finding[] {
  const known = new Set(["langchain_pgvector_tenant", ...(relation.registry ? [ADMIN_POLICY] : [])]);
  return (
    present
      .filter((policy) => policy.relation === relation.oid && policy.permissive && !known.has(policy.name))
      // The owner's, for as long as it moves a tenant between partitions.
      .filter((policy) => policy.name !== MOVE_POLICY || policy.toPublic || policy.toApp)
      .filter((policy) => !isBackupPolicy(policy))
      .map((policy) => ({
        code: "extra-policy",
        severity: policy.toPublic || policy.toApp ? "error" : "warning",
        object: `${policy.name} on ${relation.name}`,
        message:
          `The permissive policy ${policy.name} on ${relation.name} opens rows beyond those of the tenant` +
          `${policy.toPublic || policy.toApp ? "" : ", for other roles than the app role"}: one that fits is enough. ` +
          "A policy that narrows access is restrictive.",
        cure: `drop policy ${quoteIdentifier(policy.name)} on ${relation.name};`,
      }))
  );
}

/** The one with which a backup is complete: it reads, for a role that is not the application's. */
function isBackupPolicy({ name, command, toPublic, toApp }: Policy): boolean {
  return name === BACKUP_POLICY && command === "r" && !toPublic && !toApp;
}

/** The statements of the library that make one policy for one table. */
function policySql(target: LintTarget, relation: LintRelation, name: string): string {
  const script = relation.registry
    ? registrySql(target, relation.name)
    : rowSecuritySql(target.schema, target.layout, "relation").replaceAll(relationName(target), relation.name);
  const statements = script
    .split(/;\s*(?:\n|$)/)
    .map((statement) => statement.trim())
    .filter((statement) => /^(create|comment on) policy /.test(statement) && statement.includes(`policy ${name} `));
  return statements.map((statement) => `${statement};`).join("\n");
}

function registrySql(target: LintTarget, name: string): string {
  const names = { ...migrationNames(target.schema, target.layout), tenants: name };
  return TENANTS_MIGRATIONS.map((migration) => render(migration.sql, names)).join("\n");
}

/** How {@link rowSecuritySql} writes a table of the name `relation`. */
function relationName(target: LintTarget): string {
  return `${quoteIdentifier(target.schema)}."relation"`;
}

/** The policies as they should be, with `relation` `data` or `registry`; `undefined` where no temporary table may be made. */
async function expectedPolicies(session: Session, target: LintTarget): Promise<Policy[] | undefined> {
  const data = rowSecuritySql(target.schema, target.layout, "relation");
  await session.execute({ name: "begin", sql: raw("begin") });
  try {
    await session.execute({
      name: "lint-expected",
      sql: raw(
        `create temp table langchain_pgvector_lint_data (tenant_id text);\n` +
          `${data.replaceAll(relationName(target), "pg_temp.langchain_pgvector_lint_data")};\n` +
          registrySql(target, "pg_temp.langchain_pgvector_lint_registry"),
      ),
    });
    const { rows } = await session.execute({
      name: "lint-expected-oids",
      sql: sql`
        select 'pg_temp.langchain_pgvector_lint_data'::regclass::oid::int8::text as data,
          'pg_temp.langchain_pgvector_lint_registry'::regclass::oid::int8::text as registry`,
    });
    const { data: dataOid, registry } = rows[0] as { data: string; registry: string };
    const policies = await readPolicies(session, target, `{${dataOid},${registry}}`);
    return policies.map((policy) => ({ ...policy, relation: policy.relation === registry ? "registry" : "data" }));
  } catch (error) {
    if (sqlstateOf(error) === SQLSTATE.insufficientPrivilege) return undefined;
    throw error;
  } finally {
    await session.execute({ name: "rollback", sql: raw("rollback") });
  }
}

async function unchecked(session: Session): Promise<Finding> {
  const { rows } = await session.execute({
    name: "lint-names",
    sql: sql`select quote_ident(current_database()) as database, quote_ident(current_user) as role`,
  });
  const { database, role } = rows[0] as { database: string; role: string };
  return {
    code: "policies-unchecked",
    severity: "warning",
    object: database,
    message: `The role ${role} may not make temporary tables, with which the policies are compared. They were not checked.`,
    cure: `grant temporary on database ${database} to ${role};`,
  };
}

async function readPolicies(session: Session, target: LintTarget, oids: string): Promise<Policy[]> {
  const { rows } = await session.execute({
    name: "lint-policies",
    sql: sql`
      select p.polrelid::int8::text as relation, p.polname::text as name, p.polcmd::text as command,
        p.polpermissive as permissive, p.polroles @> array[0::oid] as "toPublic",
        exists (
          select from pg_roles app cross join unnest(p.polroles) as r (oid)
          where app.rolname = ${target.appRole}::text and r.oid <> 0 and pg_has_role(app.oid, r.oid, 'member')
        ) as "toApp",
        pg_get_expr(p.polqual, p.polrelid) as using, pg_get_expr(p.polwithcheck, p.polrelid) as check,
        obj_description(p.oid, 'pg_policy') as comment
      from pg_policy p
      where p.polrelid = any(${oids}::text[]::oid[])
      order by p.polname`,
  });
  return (rows as unknown as Policy[]).map((policy) => ({
    ...policy,
    using: withoutAlias(policy.using),
    check: withoutAlias(policy.check),
  }));
}

/** Postgres numbers an alias within a policy when the table itself has that name. */
function withoutAlias(expression: string | null): string | null {
  return expression?.replace(/\bt_\d+(?=[.\s])/g, "t") ?? null;
}
