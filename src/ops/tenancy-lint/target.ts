import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Session } from "../../db/database.js";
import { SchemaVersionError } from "../../errors.js";
import { inspectSchema } from "../../schema/inspect.js";
import { TENANTS_TABLE, type Layout } from "../../schema/layout.js";
import { findTenantRelations, MOVE_MARK, tenantRelations } from "../../schema/tenant-relations.js";

/** A table of tenant data, or a partition of one, as the catalog describes it. */
export interface LintRelation {
  readonly oid: string;
  /** Quoted and qualified. */
  readonly name: string;
  readonly partition: boolean;
  /** The list of tenants, whose policies differ from those of tables of their data. */
  readonly registry: boolean;
  readonly enabled: boolean;
  readonly forced: boolean;
}

/** What one store has in the database that has to keep tenants apart. */
export interface LintTarget {
  readonly layout: Layout;
  readonly schema: string;
  readonly appRole: string;
  readonly relations: readonly LintRelation[];
  /** Copies of moves between partitions that have not come to their end: name, tenant and direction. */
  readonly moves: readonly { readonly name: string; readonly tenant: string; readonly kind: "isolate" | "merge" }[];
  /** Their oids, as a parameter. */
  readonly oids: TextArrayParameter;
}

/** @throws SchemaVersionError when there is no such store. */
export async function findTarget(session: Session, layout: Layout): Promise<LintTarget> {
  const state = await inspectSchema(session, layout);
  if (!state.chunks.exists) {
    throw new SchemaVersionError(
      `There is no table ${JSON.stringify(layout.table)} in the schema ${JSON.stringify(state.schema)}. ` +
        "Create it with: npx langchain-pgvector init --tenancy rls",
    );
  }
  const stored = await findTenantRelations(session, state.schema, layout.table);
  const moves = await findMoves(session, state.schema, layout.table);
  const names = new Set([
    ...tenantRelations(layout, state.lexical !== undefined),
    ...stored.map((found) => found.name),
    ...moves.map((move) => move.name),
    TENANTS_TABLE,
  ]);
  const { rows } = await session.execute({
    name: "lint-relations",
    sql: sql`
      with recursive tables as (
        select c.oid, false as partition, c.relname = ${TENANTS_TABLE}::text as registry
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = ${state.schema}::text and c.relkind in ('r', 'p')
          and c.relname = any(${new TextArrayParameter([...names])}::text[])
        union
        select i.inhrelid, true, t.registry from tables t join pg_inherits i on i.inhparent = t.oid
      )
      select c.oid::int8::text as oid, format('%I.%I', n.nspname, c.relname) as name, bool_or(t.partition) as partition,
        bool_or(t.registry) as registry, c.relrowsecurity as enabled, c.relforcerowsecurity as forced
      from tables t join pg_class c on c.oid = t.oid join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p')
      group by c.oid, n.nspname
      order by 4, 3, 2`,
  });
  const relations = rows as unknown as LintRelation[];
  return {
    layout,
    schema: state.schema,
    appRole: layout.appRole!,
    relations,
    moves,
    oids: new TextArrayParameter(relations.map((relation) => relation.oid)),
  };
}

async function findMoves(session: Session, schema: string, store: string): Promise<LintTarget["moves"]> {
  const { rows } = await session.execute({
    name: "lint-moves",
    sql: sql`
      select c.relname::text as name, m.mark ->> 'tenant' as tenant, m.mark ->> 'kind' as kind
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      cross join lateral (
        select case when starts_with(obj_description(c.oid, 'pg_class'), ${MOVE_MARK}::text)
          then substr(obj_description(c.oid, 'pg_class'), ${MOVE_MARK.length + 1}::int4)::jsonb end as mark
      ) m
      where n.nspname = ${schema}::text and c.relkind = 'r' and m.mark ->> 'store' = ${store}::text`,
  });
  return rows as unknown as LintTarget["moves"];
}
