import sql from "sql-template-tag";
import type { Database } from "../../db/database.js";
import { quoteIdentifier } from "../../db/identifiers.js";
import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { ConfigurationError, TenantIsolationError } from "../../errors.js";
import { applySteps } from "../../schema/apply.js";
import type { SchemaStep } from "../../schema/plan.js";
import { BACKUP_POLICY } from "./policy.js";
import { findSchema, readStoredObjects } from "./relations.js";

export interface BackupRoleOptions {
  /** A login that is there already, or the name of the one to make. */
  readonly role: string;
  readonly schema?: string | undefined;
}

/**
 * What makes a role that reads all rows of the library's tables and writes none, without BYPASSRLS: the login, a policy of
 * its own on every table, its rights. For the owner of the tables. Empty of policies that are there already. No effects.
 *
 * @throws ConfigurationError when the role is more than a login.
 */
export async function planBackupRole(database: Database, options: BackupRoleOptions): Promise<SchemaStep[]> {
  const role = quoteIdentifier(options.role);
  return database.connection(async (session) => {
    const schema = await findSchema(session, options.schema);
    const objects = await readStoredObjects(session, schema);
    const { rows } = await session.execute({
      name: "backup-role-facts",
      sql: sql`
        select
          (select jsonb_build_object('powers', r.rolsuper or r.rolbypassrls or r.rolcreaterole, 'memberOf', (
              select coalesce(jsonb_agg(g.rolname), '[]') from pg_auth_members m join pg_roles g on g.oid = m.roleid
              where m.member = r.oid))
            from pg_roles r where r.rolname = ${options.role}::text) as role,
          (select coalesce(jsonb_agg(p.polrelid::int8::text), '[]') from pg_policy p
            join pg_roles r on r.rolname = ${options.role}::text and p.polroles = array[r.oid]
            where p.polname = ${BACKUP_POLICY}::text) as present,
          (select coalesce(jsonb_agg(p.polrelid::int8::text), '[]') from pg_policy p where p.polname = ${BACKUP_POLICY}::text) as named,
          array(
            select distinct quote_ident(n.nspname) from pg_namespace n
            where n.nspname = ${schema}::text or n.oid = (select extnamespace from pg_extension where extname = 'vector')) as schemas,
          quote_ident(current_database()) as database,
          has_database_privilege('public', current_database(), 'connect') as connects`,
    });
    const facts = rows[0] as {
      role: { powers: boolean; memberOf: string[] } | null;
      present: string[];
      named: string[];
      schemas: string[];
      database: string;
      connects: boolean;
    };
    if (facts.role !== null && (facts.role.powers || facts.role.memberOf.length > 0)) {
      const more = facts.role.powers ? "has powers of its own" : `can become ${facts.role.memberOf.join(", ")}`;
      throw new ConfigurationError(
        `The role ${JSON.stringify(options.role)} ${more}. A backup role reads and does nothing else: name one that is a login alone.`,
      );
    }
    const policies = objects.relations
      .filter((relation) => relation.rowSecurity && !facts.present.includes(relation.oid))
      .map(
        ({ quoted, oid }) =>
          (facts.named.includes(oid) ? `drop policy ${BACKUP_POLICY} on ${quoted};\n` : "") +
          `create policy ${BACKUP_POLICY} on ${quoted} for select to ${role} using (true);\n`,
      );
    const tables = objects.relations.map(({ quoted }) => quoted).join(", ");
    const sequences = objects.sequences.map(({ quoted }) => quoted).join(", ");
    return [
      ...(facts.role === null ? [{ name: "backup-role/role", sql: `create role ${role} login;\n` }] : []),
      ...policies.map((text) => ({ name: "backup-role/policy", sql: text })),
      {
        name: "backup-role/rights",
        sql:
          (facts.connects ? "" : `grant connect on database ${facts.database} to ${role};\n`) +
          `grant usage on schema ${facts.schemas.join(", ")} to ${role};\n` +
          `grant select on ${tables} to ${role};\n` +
          (sequences === "" ? "" : `grant select on sequence ${sequences} to ${role};\n`),
      },
    ];
  });
}

/**
 * Makes the backup role; safe to call again, and needed again for tables and partitions that are new. It has no password:
 * psql's `\password` sets one.
 *
 * @throws TenantIsolationError when the connection may not make roles, or does not own the tables.
 */
export async function createBackupRole(database: Database, options: BackupRoleOptions): Promise<SchemaStep[]> {
  const steps = await planBackupRole(database, options);
  try {
    await applySteps(database, steps);
  } catch (error) {
    if (sqlstateOf(error) !== SQLSTATE.insufficientPrivilege) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new TenantIsolationError(
      `This role may not make the backup role ${JSON.stringify(options.role)} (${reason}). Connect as the owner of the tables; ` +
        `where it has no CREATEROLE, let one that has it run: create role ${quoteIdentifier(options.role)} login;`,
      { cause: error },
    );
  }
  await checkEntry(database, options);
  return steps;
}

/** A grant by a role that may not grant is no error but a notice. @throws TenantIsolationError naming what is left to grant. */
async function checkEntry(database: Database, { role, schema }: BackupRoleOptions): Promise<void> {
  const missing = await database.connection(async (session) => {
    const found = await findSchema(session, schema);
    const { rows } = await session.execute({
      name: "backup-role-entry",
      sql: sql`
        select format('grant connect on database %I to %I;', current_database(), ${role}::text) as cure
        where not has_database_privilege(${role}::text, current_database(), 'connect')
        union all
        select format('grant usage on schema %I to %I;', n.nspname, ${role}::text) from pg_namespace n
        where (n.nspname = ${found}::text or n.oid = (select extnamespace from pg_extension where extname = 'vector'))
          and not has_schema_privilege(${role}::text, n.oid, 'usage')`,
    });
    return rows.map((row) => row["cure"] as string);
  });
  if (missing.length === 0) return;
  throw new TenantIsolationError(
    `The backup role ${JSON.stringify(role)} is there with its policies and may not come in yet, as this role may not let it. ` +
      `Let the owner of the database run: ${missing.join(" ")}`,
  );
}
