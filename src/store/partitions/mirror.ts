import { quoteIdentifier, quoteLiteral, quoteQualified } from "../../db/identifiers.js";
import { ROWS_MOVING } from "../../db/sqlstate.js";
import { FIXED_COLUMNS } from "../../schema/layout.js";
import { derivedName } from "../../schema/partitions.js";
import type { OpenStore } from "../open.js";
import { gateKey, LOCK_TIMEOUT_MS } from "./locks.js";
import { partitionSql, type Partition, type PartitionTree } from "./tree.js";

/** With this setting a transaction moves rows itself: what it deletes stays in the copy. */
export const MOVE_SETTING = "app.tenant_move";
export const MIRROR_TRIGGER = "langchain_pgvector_move";
/** The check that proves to Postgres what is in a table, so that attaching it, or another beside it, reads no rows. */
export const MOVE_CHECK = "langchain_pgvector_move";
export const GATE_TRIGGER = "langchain_pgvector_move_gate";

export function mirrorFunction(target: Partition): string {
  return quoteQualified(target.schema, derivedName(target.name, "mirror"));
}

export function gateFunction(target: Partition): string {
  return quoteQualified(target.schema, derivedName(target.name, "gate"));
}

/** The primary key of the table of chunks, quoted. */
export function keyColumns(store: OpenStore): readonly string[] {
  return [FIXED_COLUMNS.tenant, FIXED_COLUMNS.collection, store.options.layout.columns.id].map(quoteIdentifier);
}

/**
 * SQL that makes every later change of the sources reach the copy too, in the transaction of the change itself: of one
 * tenant, or of all. The function has its owner's rights, because the app role has none on partitions.
 */
export function mirrorSql(
  store: OpenStore,
  tree: PartitionTree,
  target: Partition,
  sources: readonly Partition[],
  tenant: string | undefined,
): string {
  const into = partitionSql(target);
  const keys = keyColumns(store);
  const columns = tree.columns.map(quoteIdentifier);
  const others = columns.filter((column) => !keys.includes(column));
  const of = (row: string): string => keys.map((key) => `${row}.${key}`).join(", ");
  const body = `
begin
  if tg_op = 'TRUNCATE' then
    raise exception using errcode = '55006', message = 'a tenant is being moved to or from its own partition',
      hint = 'Finish that first: tenants isolate or tenants merge.';
  end if;
  if tg_op = 'DELETE' or (tg_op = 'UPDATE' and (${of("old")}) is distinct from (${of("new")})) then
    if tg_nargs = 0 or old.tenant_id = tg_argv[0] then
      delete from ${into} as t where (${of("t")}) = (${of("old")});
    end if;
  end if;
  if tg_op <> 'DELETE' then
    if tg_nargs = 0 or new.tenant_id = tg_argv[0] then
      insert into ${into} (${columns.join(", ")}) values (${columns.map((column) => `new.${column}`).join(", ")})
      on conflict (${keys.join(", ")}) do update set
        ${others.map((column) => `${column} = excluded.${column}`).join(",\n        ")};
    end if;
  end if;
  return null;
end`;
  const name = mirrorFunction(target);
  const call = `${name}(${tenant === undefined ? "" : quoteLiteral(tenant)})`;
  const create =
    `create function ${name}() returns trigger language plpgsql security definer\n` +
    `  set search_path = pg_catalog, pg_temp as ${quoteLiteral(body)};\n` +
    `revoke all on function ${name}() from public;\n` +
    `alter function ${name}() owner to ${quoteIdentifier(tree.owner)};\n`;
  const triggers = sources.map((source) => {
    const on = partitionSql(source);
    return (
      `create trigger ${MIRROR_TRIGGER} after insert or update or delete on ${on} for each row\n` +
      `  when (current_setting('${MOVE_SETTING}', true) is distinct from ${quoteLiteral(target.name)}) execute function ${call};\n` +
      `create trigger ${MIRROR_TRIGGER}_truncate before truncate on ${on} execute function ${name}();\n`
    );
  });
  return create + triggers.join("");
}

/**
 * SQL that has each writing statement of the tenant share a lock until its transaction ends, or be turned away while the
 * move holds that lock alone. It must not wait: it has its lock on the table already, for which the move will ask.
 *
 * A move that was killed in its last moments leaves the check behind that keeps the tenant's rows out of the shared
 * partition. Its lock is free then, and the tenant's next write takes the check away.
 */
export function gateSql(store: OpenStore, tree: PartitionTree, target: Partition, tenant: string): string {
  const shared = partitionSql(tree.shared);
  const body = `
begin
  if not pg_try_advisory_xact_lock_shared(tg_argv[0]::int8) then
    raise exception using errcode = '40001', constraint = '${ROWS_MOVING}',
      message = 'the rows of the tenant are changing partitions',
      hint = 'Nothing was written; run the transaction again.';
  end if;
  if exists (select from pg_constraint where conrelid = ${quoteLiteral(shared)}::regclass and conname = '${MOVE_CHECK}') then
    begin
      execute ${quoteLiteral(`alter table ${shared} drop constraint if exists ${MOVE_CHECK}`)};
    exception
      when lock_not_available then
        raise exception using errcode = '40001', constraint = '${ROWS_MOVING}',
          message = 'an interrupted move of the tenant is being taken back';
      when object_in_use then null;
    end;
  end if;
  return null;
end`;
  const name = gateFunction(target);
  return (
    `create function ${name}() returns trigger language plpgsql security definer\n` +
    `  set search_path = pg_catalog, pg_temp set lock_timeout = '${LOCK_TIMEOUT_MS}ms' as ${quoteLiteral(body)};\n` +
    `revoke all on function ${name}() from public;\n` +
    `alter function ${name}() owner to ${quoteIdentifier(tree.owner)};\n` +
    `create trigger ${GATE_TRIGGER} before insert or update or delete on ${quoteQualified(store.schema, store.options.layout.table)} for each statement\n` +
    `  when (current_setting('app.current_tenant', true) = ${quoteLiteral(tenant)}) execute function ${name}('${gateKey(store, tenant)}');\n`
  );
}
