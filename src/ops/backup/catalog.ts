import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Session } from "../../db/database.js";
import type { StoredObjects } from "./relations.js";

export interface BackupIndex {
  readonly name: string;
  readonly table: string;
  readonly method: string;
  readonly definition: string;
  readonly valid: boolean;
}

export interface BackupPolicy {
  readonly name: string;
  readonly table: string;
  readonly command: string;
  readonly permissive: boolean;
  readonly roles: readonly string[];
  readonly using: string | null;
  readonly check: string | null;
  readonly comment: string | null;
}

/** What stands around the rows. */
export interface CatalogFacts {
  readonly indexes: readonly BackupIndex[];
  readonly policies: readonly BackupPolicy[];
  readonly triggers: readonly { readonly table: string; readonly definition: string }[];
}

/** Indexes, policies and triggers of the library's tables, sorted, as Postgres prints them. */
export async function readCatalog(session: Session, objects: StoredObjects): Promise<CatalogFacts> {
  const oids = new TextArrayParameter(objects.relations.map(({ oid }) => oid));
  const { rows } = await session.execute({
    name: "backup-catalog",
    sql: sql`
      with members as (select c.oid, c.relname from pg_class c where c.oid = any(${oids}::text[]::oid[]))
      select
        (select coalesce(jsonb_agg(jsonb_build_object('name', c.relname, 'table', m.relname, 'method', a.amname,
          'definition', pg_get_indexdef(c.oid), 'valid', i.indisvalid) order by c.relname), '[]')
          from members m join pg_index i on i.indrelid = m.oid join pg_class c on c.oid = i.indexrelid
          join pg_am a on a.oid = c.relam) as indexes,
        (select coalesce(jsonb_agg(jsonb_build_object('name', p.polname, 'table', m.relname, 'command', p.polcmd,
          'permissive', p.polpermissive, 'using', pg_get_expr(p.polqual, p.polrelid),
          'check', pg_get_expr(p.polwithcheck, p.polrelid), 'comment', obj_description(p.oid, 'pg_policy'),
          'roles', (select jsonb_agg(case when r = 0 then 'public' else pg_get_userbyid(r) end order by 1) from unnest(p.polroles) r))
          order by m.relname, p.polname), '[]')
          from members m join pg_policy p on p.polrelid = m.oid) as policies,
        (select coalesce(jsonb_agg(jsonb_build_object('table', m.relname, 'definition', pg_get_triggerdef(t.oid))
          order by m.relname, t.tgname), '[]')
          from members m join pg_trigger t on t.tgrelid = m.oid where not t.tgisinternal) as triggers`,
  });
  return rows[0] as unknown as CatalogFacts;
}
