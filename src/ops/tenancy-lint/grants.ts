import sql from "sql-template-tag";
import type { Session } from "../../db/database.js";
import type { Finding } from "./finding.js";
import type { LintTarget } from "./target.js";

/** Rights that row-level security does not narrow, held by the app role (itself or by membership) or by everybody. */
export async function checkGrants(session: Session, target: LintTarget): Promise<Finding[]> {
  const { rows } = await session.execute({
    name: "lint-grants",
    sql: sql`
      select format('%I.%I', n.nspname, c.relname) as table, c.relname = 'langchain_pgvector_tenants' as registry,
        case when acl.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end as grantee,
        array_agg(lower(acl.privilege_type) order by acl.privilege_type) as rights
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      cross join aclexplode(c.relacl) as acl
      where c.oid = any(${target.oids}::text[]::oid[])
        and acl.grantee <> c.relowner
        and (acl.grantee = 0 or exists (
          select from pg_roles app
          where app.rolname = ${target.appRole}::text and not app.rolsuper and pg_has_role(app.oid, acl.grantee, 'member')
        ))
        and (acl.privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER')
          or (c.relname = 'langchain_pgvector_tenants' and acl.privilege_type in ('UPDATE', 'DELETE')))
      group by 1, 2, 3
      order by 1, 3`,
  });
  return (rows as { table: string; registry: boolean; grantee: string; rights: string[] }[]).flatMap((row) => {
    const beyond = row.rights.filter((right) => ["truncate", "references", "trigger"].includes(right));
    const administrative = row.rights.filter((right) => !beyond.includes(right));
    const findings: Finding[] = [];
    if (beyond.length > 0) {
      findings.push({
        code: "excessive-grant",
        severity: "error",
        object: row.table,
        message: `${row.grantee} has ${beyond.join(", ")} on ${row.table}; policies do not bind these rights.`,
        cure: `revoke ${beyond.join(", ")} on ${row.table} from ${row.grantee};`,
      });
    }
    if (administrative.length > 0) {
      findings.push({
        code: "registry-writable",
        severity: "error",
        object: row.table,
        message:
          `${row.grantee} has ${administrative.join(", ")} on the list of tenants; ` +
          "whoever may change it administers tenants, suspended ones included.",
        cure: `revoke ${administrative.join(", ")} on ${row.table} from ${row.grantee};`,
      });
    }
    return findings;
  });
}
