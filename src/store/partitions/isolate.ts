import type { Session } from "../../db/database.js";
import { partitionName } from "../../schema/partitions.js";
import { noteRecall } from "../measure-recall.js";
import { scopeTo, type OpenStore } from "../open.js";
import { findIndexOf } from "../plan-search.js";
import { requireAdministrator, stateOf, unknownTenant } from "../tenants/registry.js";
import { alone } from "./locks.js";
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
import { measureMove } from "./measure.js";
import { switchSteps, switchToOwn } from "./switch.js";
import { abandon, type Move } from "./target.js";
import { checkMovable, ownPartition, readTree, type Partition, type PartitionTree } from "./tree.js";
import { findUnfinished } from "./unfinished.js";
import { vacuumPartition } from "./vacuum-partition.js";

/** Moves a tenant's rows to a partition of their own; see `TenantAdmin.isolate`. */
export async function isolateTenant(store: OpenStore, tenant: string, options: MoveOptions): Promise<MovedTenant> {
  const checked = checkMoveOptions(options);
  const { signal, vacuum = true } = checked;
  signal?.throwIfAborted();
  const moved = await store.database.connection(async (session) => {
    await checkTenant(session, store, tenant);
    return alone(session, store, async () => {
      const tree = await readTree(session, store);
      const unfinished = await findUnfinished(session, store);
      checkUnfinished(unfinished, tenant);
      const own = ownPartition(tree, tenant);
      if (own !== undefined) {
        if (unfinished !== undefined) await abandon(session, store, tree, unfinished);
        return { tenantId: tenant, partition: own.name, moved: false, rows: 0, writesBlockedMs: 0, readsBlockedMs: 0 };
      }
      checkMovable(tree);
      const { move, report } = await prepareCopy(
        session,
        store,
        tree,
        isolation(store, tree, tenant),
        unfinished,
        checked,
      );
      report("switching", "switching to the copy");
      const switched = await switchToOwn(session, store, tree, move, checked);
      store.memory.forgetPartitions();
      if (vacuum) {
        report("vacuuming", "vacuuming, so that the space can be used again");
        await vacuumPartition(session, tree.shared);
      }
      return { tenantId: tenant, partition: move.target.name, moved: true, ...switched };
    });
  }, signal);
  const index = moved.moved ? await findIndexOf(scopeTo(store, tenant)).catch(() => undefined) : undefined;
  if (index !== undefined) await noteRecall(store, index.name, undefined, tenant);
  return moved;
}

/** What {@link isolateTenant} would do. No effects. */
export async function planIsolation(store: OpenStore, tenant: string): Promise<MovePlan> {
  return store.database.connection(async (session) => {
    await checkTenant(session, store, tenant);
    const tree = await readTree(session, store);
    checkUnfinished(await findUnfinished(session, store), tenant);
    if (ownPartition(tree, tenant) !== undefined) return { tenantId: tenant, rows: 0, bytes: 0, steps: [] };
    checkMovable(tree);
    const move = isolation(store, tree, tenant);
    const size = await measureMove(session, move, moveSettings(move));
    const steps = [...prepareSteps(store, tree, move), ...switchSteps(store, tree, move)];
    return { tenantId: tenant, ...size, steps };
  });
}

/** @throws ConfigurationError when the store has no such tenant. */
export async function checkTenant(session: Session, store: OpenStore, tenant: string): Promise<void> {
  await requireAdministrator(session, store);
  if ((await stateOf(session, store, tenant)) === undefined) throw unknownTenant(store, tenant);
}

function isolation(store: OpenStore, tree: PartitionTree, tenant: string): Move {
  const name = partitionName(store.options.layout.table, "tenant");
  const target: Partition = { schema: store.schema, name, tenants: undefined };
  return { kind: "isolate", tenant, target, sources: [tree.shared] };
}
