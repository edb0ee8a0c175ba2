import sql from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { quoteIdentifier } from "../../db/identifiers.js";
import { TENANTS_TABLE } from "../../schema/layout.js";
import type { Finding } from "./finding.js";
import type { LintTarget } from "./target.js";

interface RoleRow {
  readonly name: string;
  readonly super: boolean;
  readonly isApp: boolean;
  readonly isConnection: boolean;
}

/** Roles that no policy binds, and tables that the application's role could open by itself. */
export async function checkRoles(session: Session, target: LintTarget): Promise<Finding[]> {
  const { rows } = await session.execute({
    name: "lint-roles",
    sql: sql`
      with recursive app as (
        select oid from pg_roles where rolname = ${target.appRole}::text
      ), members as (
        select m.member as oid from pg_auth_members m join app on app.oid = m.roleid
        union
        select m.member from members join pg_auth_members m on m.roleid = members.oid
      )
      select r.rolname::text as name, r.rolsuper as super, r.oid in (select oid from app) as "isApp",
        r.rolname = current_user as "isConnection"
      from pg_roles r
      where (r.rolsuper or r.rolbypassrls)
        and (r.oid in (select oid from app) or r.oid in (select oid from members) or r.rolname = current_user)
      union all
      select null, null, false, false where not exists (select from app)`,
  });
  const bypassing = (rows as unknown as (RoleRow | (Omit<RoleRow, "name"> & { name: null }))[]).map((role) =>
    role.name === null ? missing(target) : bypass(role, target),
  );
  return [...bypassing, ...(await checkOwners(session, target))];
}

function missing({ appRole }: LintTarget): Finding {
  const name = quoteIdentifier(appRole);
  return {
    code: "app-role-missing",
    severity: "error",
    object: name,
    message: `The app role ${name} does not exist, so nothing can work under it.`,
    cure: `create role ${name} nologin;`,
  };
}

function bypass(role: RoleRow, { appRole }: LintTarget): Finding {
  const name = quoteIdentifier(role.name);
  const app = quoteIdentifier(appRole);
  const why = role.super ? "is superuser" : "has BYPASSRLS";
  if (role.isApp) {
    return {
      code: "app-role-bypasses",
      severity: "error",
      object: name,
      message: `The app role ${name} ${why}, so no policy binds it.`,
      cure: `alter role ${name} nosuperuser nobypassrls;`,
    };
  }
  if (role.isConnection) {
    const login = quoteIdentifier(`${appRole.slice(0, 57)}_login`);
    return {
      code: "connection-bypasses",
      severity: "warning",
      object: name,
      message:
        `The connection's role ${name} ${why}. The store's calls switch to ${app} for each transaction; ` +
        "everything else on such a connection sees all tenants. Let applications log in as a role of their own.",
      cure: `create role ${login} login in role ${app};`,
    };
  }
  return {
    code: "member-bypasses",
    severity: "error",
    object: name,
    message: `The role ${name} is a member of ${app} and ${why}: an application that logs in as it sees all tenants.`,
    // The first superuser of a cluster cannot be anything else, and needs no membership.
    cure: role.super ? `revoke ${app} from ${name};` : `alter role ${name} nobypassrls;`,
  };
}

async function checkOwners(session: Session, target: LintTarget): Promise<Finding[]> {
  const { rows } = await session.execute({
    name: "lint-owners",
    sql: sql`
      select format('%I.%I', n.nspname, c.relname) as table, quote_ident(o.rolname) as owner, o.oid = app.oid as direct,
        c.relname = ${TENANTS_TABLE}::text as registry,
        quote_ident(pg_get_userbyid(d.datdba)) as heir
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      join pg_roles o on o.oid = c.relowner
      join pg_roles app on app.rolname = ${target.appRole}::text and not app.rolsuper
      join pg_database d on d.datname = current_database()
      where c.oid = any(${target.oids}::text[]::oid[]) and pg_has_role(app.oid, o.oid, 'member')
      order by 1`,
  });
  const app = quoteIdentifier(target.appRole);
  return (rows as { table: string; owner: string; direct: boolean; registry: boolean; heir: string }[]).map((row) => ({
    code: "app-role-owns-table",
    severity: "error",
    object: row.table,
    message:
      `The app role ${app} ${row.direct ? "owns" : `is a member of ${row.owner}, the owner of`} ${row.table}, ` +
      "and an owner can turn row-level security off.",
    cure: row.direct
      ? `alter table ${row.table} owner to ${row.heir};\ngrant select, insert${row.registry ? "" : ", update, delete"} on ${row.table} to ${app};`
      : `revoke ${row.owner} from ${app};`,
  }));
}
