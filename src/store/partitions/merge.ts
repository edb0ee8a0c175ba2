import { raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { quoteQualified } from "../../db/identifiers.js";
import { derivedName } from "../../schema/partitions.js";
import type { OpenStore } from "../open.js";
import { checkTenant } from "./isolate.js";
import { alone, keepVacuumAway, LOCK_TIMEOUT_MS, patiently, transact } from "./locks.js";
import { measureMove } from "./measure.js";
import {
  checkMoveOptions,
  checkUnfinished,
  moveSettings,
  prepareCopy,
  prepareSteps,
  type MovedTenant,
  type MoveOptions,
  type MovePlan,
} from "./prepare.js";
import { abandon, endSql, lockSql, type Move } from "./target.js";
import { checkMovable, ownPartition, partitionSql, readTree, type Partition, type PartitionTree } from "./tree.js";
import { findUnfinished } from "./unfinished.js";

/**
 * Moves a tenant's rows back to the shared partition; see `TenantAdmin.merge`. A partition never takes rows that belong
 * into another one, so the shared partition is made anew with them.
 */
export async function mergeTenant(store: OpenStore, tenant: string, options: MoveOptions): Promise<MovedTenant> {
  const checked = checkMoveOptions(options);
  const { signal } = checked;
  signal?.throwIfAborted();
  return store.database.connection(async (session) => {
    await checkTenant(session, store, tenant);
    return alone(session, store, async () => {
      const tree = await readTree(session, store);
      const unfinished = await findUnfinished(session, store);
      checkUnfinished(unfinished, tenant);
      const own = ownPartition(tree, tenant);
      if (own === undefined) {
        if (unfinished !== undefined) await abandon(session, store, tree, unfinished);
        const partition = tree.shared.name;
        return { tenantId: tenant, partition, moved: false, rows: 0, writesBlockedMs: 0, readsBlockedMs: 0 };
      }
      checkMovable(tree);
      const { move, report } = await prepareCopy(
        session,
        store,
        tree,
        merging(store, tree, tenant, own),
        unfinished,
        checked,
      );
      report("switching", "switching to the copy");
      const blockedMs = await replaceSources(session, store, move, signal);
      store.memory.forgetPartitions();
      const rows = (
        await measureMove(
          session,
          { ...move, kind: "isolate", sources: [move.target] },
          moveSettings({ kind: "isolate", tenant }),
        )
      ).rows;
      return {
        tenantId: tenant,
        partition: move.target.name,
        moved: true,
        rows,
        writesBlockedMs: blockedMs,
        readsBlockedMs: blockedMs,
      };
    });
  }, signal);
}

/** What {@link mergeTenant} would do. No effects. */
export async function planMerge(store: OpenStore, tenant: string): Promise<MovePlan> {
  return store.database.connection(async (session) => {
    await checkTenant(session, store, tenant);
    const tree = await readTree(session, store);
    checkUnfinished(await findUnfinished(session, store), tenant);
    const own = ownPartition(tree, tenant);
    if (own === undefined) return { tenantId: tenant, rows: 0, bytes: 0, steps: [] };
    checkMovable(tree);
    const move = merging(store, tree, tenant, own);
    const size = await measureMove(session, move, moveSettings(move));
    const replace = { name: "replace-partitions", sql: replaceSql(store, move) };
    return { tenantId: tenant, ...size, steps: [...prepareSteps(store, tree, move), replace] };
  });
}

function merging(store: OpenStore, tree: PartitionTree, tenant: string, own: Partition): Move {
  const { table } = store.options.layout;
  // Partitions take turns with two names, of which the one that is in use is taken.
  const names = [derivedName(table, "default"), derivedName(table, "default", "2")];
  const name = names.find((candidate) => candidate !== tree.shared.name)!;
  const target: Partition = { schema: store.schema, name, tenants: undefined };
  return { kind: "merge", tenant, target, sources: [tree.shared, own] };
}

/** Every change has reached the copy, so all that is left is to exchange tables. @returns how long all waited. */
async function replaceSources(
  session: Session,
  store: OpenStore,
  move: Move,
  signal: AbortSignal | undefined,
): Promise<number> {
  return patiently(
    "replace-partitions",
    async () => {
      let began = 0;
      await transact(session, { lock_timeout: `${LOCK_TIMEOUT_MS}ms` }, async () => {
        await keepVacuumAway(session, [...move.sources, move.target]);
        began = performance.now();
        await session.execute({ name: "replace-partitions", sql: raw(replaceSql(store, move)) });
      });
      return performance.now() - began;
    },
    { signal },
  );
}

function replaceSql(store: OpenStore, move: Move): string {
  const table = quoteQualified(store.schema, store.options.layout.table);
  const sources = move.sources.map((source) => partitionSql(source));
  return (
    lockSql(store, [...move.sources, move.target]) +
    sources.map((source) => `alter table ${table} detach partition ${source};\n`).join("") +
    `alter table ${table} attach partition ${partitionSql(move.target)} default;\n` +
    sources.map((source) => `drop table ${source};\n`).join("") +
    endSql(store, move, [])
  );
}
