import sql from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { quoteLiteral } from "../../db/identifiers.js";
import { MOVE_MARK } from "../../schema/tenant-relations.js";
import type { OpenStore } from "../open.js";
import { partitionSql, type Partition } from "./tree.js";

/** A move that has begun: its copy is there, and stays when the process that makes it does not come to the end. */
export interface UnfinishedMove {
  readonly kind: "isolate" | "merge";
  readonly tenant: string;
  readonly target: Partition;
  /** Columns of the copy. */
  readonly columns: readonly string[];
  /** The tables whose changes it follows. */
  readonly sources: readonly string[];
}

/** SQL that marks a table as the copy of a move that is not done. */
export function markSql(store: OpenStore, kind: UnfinishedMove["kind"], tenant: string, target: Partition): string {
  const mark = MOVE_MARK + JSON.stringify({ store: store.options.layout.table, kind, tenant });
  return `comment on table ${partitionSql(target)} is ${quoteLiteral(mark)};\n`;
}

/** The move of the store that has not come to its end; there is one at most, since another is refused until then. */
export async function findUnfinished(session: Session, store: OpenStore): Promise<UnfinishedMove | undefined> {
  const { rows } = await session.execute({
    name: "unfinished-move",
    sql: sql`
      select substr(obj_description(c.oid, 'pg_class'), ${MOVE_MARK.length + 1}::int4)::jsonb as mark, n.nspname::text as schema,
        c.relname::text as name,
        array(
          select a.attname::text from pg_attribute a
          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by a.attnum
        ) as columns,
        array(
          select s.relname::text from pg_trigger t join pg_class s on s.oid = t.tgrelid join pg_proc f on f.oid = t.tgfoid
          where t.tgname = 'langchain_pgvector_move' and strpos(f.prosrc, format('insert into "%s"."%s" ',
            replace(n.nspname, '"', '""'), replace(c.relname, '"', '""'))) > 0
          order by 1
        ) as sources
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = ${store.schema}::text and c.relkind = 'r' and not c.relispartition
        and starts_with(obj_description(c.oid, 'pg_class'), ${MOVE_MARK}::text)`,
  });
  type Row = { mark: { store: string; kind: UnfinishedMove["kind"]; tenant: string }; schema: string; name: string };
  const found = (rows as unknown as (Row & Pick<UnfinishedMove, "columns" | "sources">)[]).find(
    ({ mark }) => mark.store === store.options.layout.table,
  );
  if (found === undefined) return undefined;
  const { mark, schema, name, columns, sources } = found;
  return {
    kind: mark.kind,
    tenant: mark.tenant,
    target: { schema, name, tenants: undefined },
    columns,
    sources,
  };
}
