import { Database } from "../db/database.js";
import type { Pool } from "../db/pool.js";
import type { Replicas } from "../db/replicas/replicas.js";
import { Activity } from "../telemetry/activity.js";
import type { Caller } from "../telemetry/call.js";
import { reportPools } from "../telemetry/live-pools.js";
import type { ResolvedOptions } from "./options.js";

/** The database of one store, with whose activity its pools are reported from now on. */
export function databaseFor(pool: Pool, replicas: Replicas | undefined, { layout }: ResolvedOptions): Database {
  const activity = new Activity(layout.table, [{ name: "primary", pool }, ...(replicas?.pools ?? [])]);
  reportPools(activity);
  return new Database(pool, replicas, activity);
}

/** On whose behalf a store with these options makes its calls. */
export function callerFor(activity: Activity, { searchType, telemetry, tenant }: ResolvedOptions): Caller {
  return { activity, searchType, tenant: telemetry.tenant ? tenant : undefined };
}
