import sql from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { printedLiteral, quoteQualified } from "../../db/identifiers.js";
import { ConfigurationError } from "../../errors.js";
import { WHOLE_ROW_BYTES } from "../../schema/partitions.js";
import type { OpenStore } from "../open.js";

/** A partition of the table of chunks. */
export interface Partition {
  readonly schema: string;
  readonly name: string;
  /** The tenants in it as a list of SQL literals; `undefined` for the default partition, which has all others. */
  readonly tenants: string | undefined;
}

/** The table of chunks with what a further partition has to have too. */
export interface PartitionTree {
  readonly owner: string;
  /** Whether new rows of the default partition keep their vectors in them. */
  readonly inlineVectors: boolean;
  readonly columns: readonly string[];
  /** Primary key and unique constraints as SQL, such as `PRIMARY KEY (tenant_id, collection, id)`. */
  readonly constraints: readonly string[];
  /** Other indexes: name, whether unique, and what stands behind the table in `create index`. */
  readonly indexes: readonly { readonly name: string; readonly unique: boolean; readonly using: string }[];
  /** The partition of all tenants that have none of their own. */
  readonly shared: Partition;
  /** The others, in the order of their tenants. */
  readonly own: readonly Partition[];
  /** Foreign keys that refer to the table, and triggers that a deletion of rows would fire. */
  readonly obstacles: readonly string[];
}

/** @throws ConfigurationError when the table is not partitioned by tenant with a default partition. */
export async function readTree(session: Session, store: OpenStore): Promise<PartitionTree> {
  const table = quoteQualified(store.schema, store.options.layout.table);
  const { rows } = await session.execute({
    name: "partition-tree",
    sql: sql`
      with parent as (select c.* from pg_class c where c.oid = to_regclass(${table}::text) and c.relkind = 'p'),
      partitions as (
        select n.nspname::text as schema, c.relname::text as name, c.oid,
          substring(pg_get_expr(c.relpartbound, c.oid) from '^FOR VALUES IN \\((.*)\\)$') as tenants,
          pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' as shared,
          array[${`toast_tuple_target=${WHOLE_ROW_BYTES}`}::text] <@ coalesce(c.reloptions, '{}') as inline
        from parent p join pg_inherits h on h.inhparent = p.oid join pg_class c on c.oid = h.inhrelid
        join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r'
      )
      select pg_get_userbyid(p.relowner)::text as owner,
        coalesce((select c.inline from partitions c where c.shared), false) as "inlineVectors",
        array(
          select a.attname::text from pg_attribute a
          where a.attrelid = p.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by a.attnum
        ) as columns,
        array(
          select pg_get_constraintdef(k.oid) from pg_constraint k
          where k.conrelid = p.oid and k.contype in ('p', 'u') order by k.contype, k.conname
        ) as constraints,
        coalesce((
          select jsonb_agg(jsonb_build_object('name', x.relname, 'unique', i.indisunique, 'using', substr(pg_get_indexdef(x.oid), 1 + length(
            format('CREATE %sINDEX %I ON ONLY %I.%I ', case when i.indisunique then 'UNIQUE ' else '' end, x.relname, pn.nspname, p.relname)
          ))) order by x.relname)
          from pg_index i join pg_class x on x.oid = i.indexrelid
          where i.indrelid = p.oid and not exists (select from pg_constraint k where k.conindid = x.oid and k.contype in ('p', 'u'))
        ), '[]') as indexes,
        coalesce((select jsonb_agg(to_jsonb(c) order by c.tenants collate "C") from partitions c where not c.shared), '[]') as own,
        (select to_jsonb(c) from partitions c where c.shared) as shared,
        array(
          select format('the foreign key %I of %s', k.conname, k.conrelid::regclass) from pg_constraint k
          where k.confrelid = p.oid and k.contype = 'f'
          union all
          select format('the trigger %I of %s', t.tgname, t.tgrelid::regclass) from pg_trigger t
          where t.tgrelid in (select p.oid union all select c.oid from partitions c where c.shared) and t.tgparentid = 0
            and not t.tgisinternal and t.tgenabled <> 'D' and t.tgtype & 8 <> 0
            and not starts_with(t.tgname, 'langchain_pgvector_')
        ) as obstacles
      from parent p join pg_namespace pn on pn.oid = p.relnamespace`,
  });
  const row = rows[0] as unknown as (Omit<PartitionTree, "shared"> & { shared: Partition | null }) | undefined;
  if (row === undefined || row.shared === null) {
    throw new ConfigurationError(
      `The table ${JSON.stringify(store.options.layout.table)} is not partitioned by tenant, which is decided when a table is ` +
        'made: use another table with partitions: "by-tenant" (init --partitioned).',
    );
  }
  return { ...row, shared: row.shared };
}

/** The tenant's own partition. @throws ConfigurationError when it shares one that this library did not make. */
export function ownPartition(tree: PartitionTree, tenant: string): Partition | undefined {
  const literal = printedLiteral(tenant);
  const found = tree.own.find(({ tenants }) => tenants === literal);
  const among = tree.own.find(({ tenants }) => tenants?.split(", ").includes(literal));
  if (found === undefined && among !== undefined) {
    throw new ConfigurationError(
      `The tenant ${JSON.stringify(tenant)} shares the partition ${JSON.stringify(among.name)} with others; ` +
        "only partitions of one tenant can be moved.",
    );
  }
  return found;
}

/** @throws ConfigurationError when rows of the table cannot be moved without side effects. */
export function checkMovable(tree: PartitionTree): void {
  if (tree.obstacles.length === 0) return;
  throw new ConfigurationError(
    `Rows cannot change partitions while there is ${tree.obstacles.join(", ")}: moving a row deletes it in one partition. ` +
      "Drop it and make it again afterwards, or disable it for that time.",
  );
}

export function partitionSql(partition: Pick<Partition, "schema" | "name">): string {
  return quoteQualified(partition.schema, partition.name);
}
