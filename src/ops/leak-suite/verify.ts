import { isDeepStrictEqual } from "node:util";
import type { QueryReply } from "../../db/pool.js";
import { COLLECTIONS, rowKey, type LeakRow, type LeakTenant } from "./tenants.js";
import type { Origin } from "./tally.js";
import type { World } from "./world.js";

/** All rows of one tenant, as it reads them itself; by {@link rowKey}. */
export async function readTenant(world: World, tenant: LeakTenant): Promise<Map<string, LeakRow>> {
  const pool = world.view(tenant, COLLECTIONS[0]).pool as unknown as {
    query(text: string, values: readonly unknown[]): Promise<QueryReply>;
  };
  const { rows } = await pool.query(
    `select collection, id, text, metadata from ${world.tables.chunks} where tenant_id = $1`,
    [tenant.id],
  );
  return new Map(
    rows.map((row) => [
      rowKey(row["collection"] as string, row["id"] as string),
      { content: row["text"] as string, metadata: row["metadata"] as Record<string, unknown> },
    ]),
  );
}

/**
 * Compares what a tenant has with what it should have, and counts each missing, changed and additional row as a write
 * across tenants. The model follows the table afterwards, so that nothing is counted twice.
 */
export async function verifyTenant(world: World, tenant: LeakTenant, origin: Origin): Promise<void> {
  const stored = await readTenant(world, tenant);
  const keys = new Set([...stored.keys(), ...tenant.rows.keys()]);
  const wrong = [...keys].filter((key) => !sameRow(stored.get(key), tenant.rows.get(key)));
  if (wrong.length === 0) return;
  const [collection, id] = wrong[0]!.split("\0");
  world.tally.crossWrite(
    origin,
    wrong.length,
    `tenant ${JSON.stringify(tenant.id)}: ${wrong.length} rows differ, such as ${id} in ${collection}`,
  );
  tenant.rows.clear();
  for (const [key, row] of stored) tenant.rows.set(key, row);
}

export function sameRow(a: LeakRow | undefined, b: LeakRow | undefined): boolean {
  return isDeepStrictEqual(a && { ...a }, b && { ...b });
}
