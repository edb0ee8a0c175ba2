import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Session } from "../../db/database.js";
import { TenantIsolationError } from "../../errors.js";
import { ACTIVE_POLICY } from "../../schema/tenant-relations.js";
import { BACKUP_POLICY } from "./policy.js";
import type { BackupRelation } from "./relations.js";

/**
 * Whether row-level security binds the role, so that `pg_dump` needs `--enable-row-security`.
 *
 * That option alone is a trap: without a tenant the policies show no rows and `pg_dump` ends well, with nothing. So each
 * table that binds the role must have a policy that shows all of its rows to it.
 *
 * @throws TenantIsolationError naming the tables of which the role would dump a part or nothing.
 */
export async function checkComplete(session: Session, relations: readonly BackupRelation[]): Promise<boolean> {
  const { rows: names } = await session.execute({
    name: "backup-role",
    sql: sql`select current_user::text as role, nullif(current_setting('app.current_tenant', true), '') as tenant`,
  });
  const { role, tenant } = names[0] as { role: string; tenant: string | null };
  const bound = relations.filter((relation) => relation.bound);
  if (bound.length === 0) return false;
  if (tenant !== null) {
    throw new TenantIsolationError(
      `The setting app.current_tenant is stored for the role ${JSON.stringify(role)}, so a dump could hold one tenant alone. ` +
        "Remove it with: alter role ... reset app.current_tenant; or connect as another role.",
    );
  }
  const { rows } = await session.execute({
    name: "backup-policies",
    sql: sql`
      with mine as (
        select p.polrelid, p.polname, p.polpermissive, pg_get_expr(p.polqual, p.polrelid) as qual
        from pg_policy p
        where p.polrelid = any(${new TextArrayParameter(bound.map(({ oid }) => oid))}::text[]::oid[])
          and p.polcmd in ('r', '*')
          and exists (select from unnest(p.polroles) as r (oid) where r.oid = 0 or pg_has_role(current_user, r.oid, 'usage'))
      )
      select o.oid as oid
      from unnest(${new TextArrayParameter(bound.map(({ oid }) => oid))}::text[]) as o (oid)
      where not exists (select from mine where polrelid = o.oid::oid and polpermissive and qual = 'true')
        or exists (select from mine where polrelid = o.oid::oid and not polpermissive and polname <> ${ACTIVE_POLICY}::text)`,
  });
  const hidden = new Set(rows.map((row) => row["oid"]));
  const partial = bound.filter(({ oid }) => hidden.has(oid)).map(({ name }) => name);
  if (partial.length === 0) return true;
  const shown = partial.slice(0, 5).join(", ") + (partial.length > 5 ? ` and ${partial.length - 5} more` : "");
  throw new TenantIsolationError(
    `The role ${JSON.stringify(role)} would dump a part of the rows, or none: row-level security hides them in ${shown}. ` +
      `Back up as a role that sees them all: a superuser, one with BYPASSRLS, or one with the policy ${BACKUP_POLICY}, which ` +
      "the owner of the tables makes, and repeats when there are new tables: langchain-pgvector backup --create-role <name>",
  );
}
