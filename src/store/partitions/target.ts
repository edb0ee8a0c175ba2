import { raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { quoteIdentifier, quoteLiteral, quoteQualified } from "../../db/identifiers.js";
import { rowStorage } from "../../schema/partitions.js";
import { rowSecuritySql } from "../../schema/tenancy.js";
import type { OpenStore } from "../open.js";
import { insist, keepVacuumAway, LOCK_TIMEOUT_MS, patiently, transact } from "./locks.js";
import {
  GATE_TRIGGER,
  gateFunction,
  gateSql,
  MIRROR_TRIGGER,
  MOVE_CHECK,
  mirrorFunction,
  mirrorSql,
} from "./mirror.js";
import { partitionSql, type Partition, type PartitionTree } from "./tree.js";
import { markSql, type UnfinishedMove } from "./unfinished.js";

/** Lets the owner see all rows of what it moves, by the name of the partition alone. */
export const MOVE_POLICY = "langchain_pgvector_move";

/** What one move copies, and where to. */
export interface Move {
  readonly kind: UnfinishedMove["kind"];
  readonly tenant: string;
  readonly target: Partition;
  readonly sources: readonly Partition[];
}

/**
 * SQL that makes the empty copy: a table like the one of chunks, secured like it before it has a row, that every change
 * of the sources reaches from the commit on.
 */
export function beginSql(store: OpenStore, tree: PartitionTree, move: Move): string {
  const table = quoteQualified(store.schema, store.options.layout.table);
  const target = partitionSql(move.target);
  const owner = quoteIdentifier(tree.owner);
  const isolate = move.kind === "isolate";
  const check = isolate ? `tenant_id = ${quoteLiteral(move.tenant)}` : exclusion(tree, move.tenant);
  const policy = (name: string): string =>
    `create policy ${MOVE_POLICY} on ${name} to ${owner} using (true) with check (true);\n`;
  return (
    `create table ${target} (like ${table} including all excluding indexes) ${rowStorage(tree)};\n` +
    tree.constraints.map((constraint) => `alter table ${target} add ${constraint};\n`).join("") +
    (check === undefined ? "" : `alter table ${target} add constraint ${MOVE_CHECK} check (${check});\n`) +
    rowSecuritySql(move.target.schema, store.options.layout, move.target.name) +
    // The owner's copying is not a tenant's statement; the policy goes with the last transaction.
    `\n${policy(target)}${isolate ? "" : move.sources.map((source) => policy(partitionSql(source))).join("")}` +
    `alter table ${target} owner to ${owner};\n` +
    mirrorSql(store, tree, move.target, move.sources, isolate ? move.tenant : undefined) +
    (isolate ? gateSql(store, tree, move.target, move.tenant) : "") +
    markSql(store, move.kind, move.tenant, move.target)
  );
}

/** That no tenant with a partition of its own has rows here; `undefined` when there is none but the one that is merged. */
function exclusion(tree: PartitionTree, merged: string): string | undefined {
  const own = `'${merged.replaceAll("'", "''")}'`;
  const others = tree.own.flatMap(({ tenants }) => (tenants === undefined || tenants === own ? [] : [tenants]));
  return others.length === 0 ? undefined : `tenant_id <> all (array[${others.join(", ")}])`;
}

/** SQL that takes away what was there for the move alone. For whoever holds the table exclusively. */
export function endSql(store: OpenStore, move: Move, kept: readonly Partition[]): string {
  const target = partitionSql(move.target);
  const table = quoteQualified(store.schema, store.options.layout.table);
  return (
    (move.kind === "isolate" ? `drop trigger if exists ${GATE_TRIGGER} on ${table};\n` : "") +
    kept.map((source) => cleanSourceSql(source)).join("") +
    `drop policy if exists ${MOVE_POLICY} on ${target};\n` +
    `alter table ${target} drop constraint if exists ${MOVE_CHECK};\n` +
    `comment on table ${target} is null;\n` +
    dropFunctionsSql(move.target)
  );
}

function cleanSourceSql(source: Partition): string {
  const on = partitionSql(source);
  return (
    `drop trigger if exists ${MIRROR_TRIGGER} on ${on};\n` +
    `drop trigger if exists ${MIRROR_TRIGGER}_truncate on ${on};\n` +
    `drop policy if exists ${MOVE_POLICY} on ${on};\n` +
    `alter table ${on} drop constraint if exists ${MOVE_CHECK};\n`
  );
}

function dropFunctionsSql(target: Partition): string {
  return `drop function if exists ${mirrorFunction(target)}();\ndrop function if exists ${gateFunction(target)}();\n`;
}

/** Locks the table and these partitions exclusively, the table first, as every statement does. */
export function lockSql(store: OpenStore, partitions: readonly Partition[]): string {
  const table = quoteQualified(store.schema, store.options.layout.table);
  return [
    `lock table only ${table} in access exclusive mode;\n`,
    ...partitions.map((partition) => `lock table ${partitionSql(partition)} in access exclusive mode;\n`),
  ].join("");
}

/** Runs a script in one transaction that asks for its locks with patience, with no vacuum on `partitions` beside it. */
export async function runScript(
  session: Session,
  name: string,
  partitions: readonly Partition[],
  script: string,
  limits: { readonly deadline?: number; readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  await patiently(
    name,
    () =>
      transact(session, { lock_timeout: `${LOCK_TIMEOUT_MS}ms` }, async () => {
        await keepVacuumAway(session, partitions);
        await session.execute({ name, sql: raw(script) });
      }),
    limits,
  );
}

/** Takes back a move that has not come to its end: the tenant stays where it is. */
export async function abandon(
  session: Session,
  store: OpenStore,
  tree: PartitionTree,
  { kind, tenant, target }: UnfinishedMove,
): Promise<void> {
  const kept = [tree.shared, ...tree.own];
  const move = { kind, tenant, target, sources: kept };
  const script = lockSql(store, kept) + endSql(store, move, kept) + `drop table ${partitionSql(target)};\n`;
  await insist(() => runScript(session, "abandon-move", [...kept, target], script));
}
