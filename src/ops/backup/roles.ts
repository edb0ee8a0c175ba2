import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Session } from "../../db/database.js";
import { quoteIdentifier, quoteLiteral } from "../../db/identifiers.js";
import type { StoredObjects } from "./relations.js";

/** A role that a restored store needs: an owner, one with rights or in a policy, or a member of such a one. */
export interface BackupRole {
  readonly name: string;
  readonly login: boolean;
  /** Makes it, without a password; absent for a role that only the cluster itself has, which must be there. */
  readonly create?: string;
  readonly memberOf: readonly { readonly role: string; readonly sql: string }[];
}

/** Settings whose stored text is a list already. */
const LISTS = new Set(["search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"]);

/** Roles made by initdb, and the predefined ones. */
const FIRST_NORMAL_OID = 16_384;

interface RoleRow {
  readonly name: string;
  readonly builtIn: boolean;
  readonly superuser: boolean;
  readonly login: boolean;
  readonly options: readonly string[];
  readonly settings: readonly string[];
  readonly memberOf: readonly { role: string; admin: boolean; inherit: boolean | null; set: boolean | null }[];
}

/** Superusers are named and not made again. */
export async function readRoles(session: Session, objects: StoredObjects): Promise<BackupRole[]> {
  const oids = [...objects.relations, ...objects.sequences].map(({ oid }) => oid);
  const { rows } = await session.execute({
    name: "backup-roles",
    sql: sql`
      with recursive relations as (
        select relowner, relacl, relkind, oid from pg_class where oid = any(${new TextArrayParameter(oids)}::text[]::oid[])
      ), named as (
        select relowner as oid from relations
        union select a.grantee from relations r cross join aclexplode(r.relacl) a
        union select n.nspowner from pg_namespace n where n.nspname = ${objects.schema}::text
        union select a.grantee from pg_namespace n cross join aclexplode(n.nspacl) a where n.nspname = ${objects.schema}::text
        union select o from relations r join pg_policy p on p.polrelid = r.oid cross join unnest(p.polroles) o
      ), needed as (
        select oid from named where oid <> 0
        union
        select m.member from needed join pg_auth_members m on m.roleid = needed.oid
        join pg_roles r on r.oid = m.member and not r.rolsuper
        where needed.oid >= ${FIRST_NORMAL_OID}::int8::oid
      )
      select r.rolname::text as name, r.oid < ${FIRST_NORMAL_OID}::int8::oid as "builtIn", r.rolsuper as superuser,
        r.rolcanlogin as login, coalesce(r.rolconfig, '{}') as settings,
        array_remove(array[
          case when r.rolcanlogin then 'login' else 'nologin' end, case when not r.rolinherit then 'noinherit' end,
          case when r.rolcreatedb then 'createdb' end, case when r.rolcreaterole then 'createrole' end,
          case when r.rolreplication then 'replication' end, case when r.rolbypassrls then 'bypassrls' end], null) as options,
        coalesce((
          select jsonb_agg(to_jsonb(g) order by g.role) from (
            select o.rolname::text as role, bool_or(m.admin_option) as admin,
              bool_or((to_jsonb(m) ->> 'inherit_option')::bool) as inherit, bool_or((to_jsonb(m) ->> 'set_option')::bool) as set
            from pg_auth_members m join pg_roles o on o.oid = m.roleid join needed n on n.oid = m.roleid
            where m.member = r.oid group by o.rolname) g
        ), '[]') as "memberOf"
      from needed join pg_roles r on r.oid = needed.oid
      order by r.rolname`,
  });
  return (rows as unknown as RoleRow[]).map((row) => toRole(row));
}

function toRole(row: RoleRow): BackupRole {
  const role = quoteIdentifier(row.name);
  const settings = row.settings.map((setting) => {
    const [name = "", value = ""] = [setting.slice(0, setting.indexOf("=")), setting.slice(setting.indexOf("=") + 1)];
    // A setting may have two parts, and a list is quoted as it is stored.
    const quoted = name.split(".").map(quoteIdentifier).join(".");
    return `alter role ${role} set ${quoted} to ${LISTS.has(name) && value !== "" ? value : quoteLiteral(value)};\n`;
  });
  return {
    name: row.name,
    login: row.login,
    ...(!row.builtIn &&
      !row.superuser && { create: `create role ${role} with ${row.options.join(" ")};\n${settings.join("")}` }),
    memberOf: row.memberOf.map(({ role: group, admin, inherit, set }) => {
      const options =
        inherit === null ? (admin ? " with admin option" : "") : ` with admin ${admin}, inherit ${inherit}, set ${set}`;
      return { role: group, sql: `grant ${quoteIdentifier(group)} to ${role}${options};\n` };
    }),
  };
}

/** The roles as a script for people; the one that restores does the same, step by step. */
export function rolesScript(roles: readonly BackupRole[]): string {
  return [
    "-- Roles of the backup, without their passwords. restore makes those that are missing by itself.\n",
    ...roles.map(
      (role) => role.create ?? `-- ${quoteIdentifier(role.name)} comes with the cluster, or is a superuser.\n`,
    ),
    ...roles.filter(({ create }) => create !== undefined).flatMap((role) => role.memberOf.map(({ sql: text }) => text)),
  ].join("");
}
