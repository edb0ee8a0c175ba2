import sql from "sql-template-tag";
import { qualified } from "../db/identifiers.js";
import { backfillTables, type RegisteredModel } from "../schema/layout.js";
import type { OpenStore } from "../store/open.js";
import type { SetAsideRow } from "./backfill/options.js";
import { listSetAside } from "./backfill/set-aside.js";
import { storedComparison, type ComparisonVerdict } from "./compare/stored-comparison.js";
import { hasIndex } from "./index-version.js";
import { completenessOf } from "./missing.js";
import { liveProcesses, type StoreProcess } from "./processes.js";
import { tenantScopes } from "./tenant-scopes.js";

/** A model version as it is listed. */
export interface ModelInfo extends Omit<RegisteredModel, "probe"> {
  /** Whether this process has its embedder. */
  readonly embedder: boolean;
}

/** How far a version has come. */
export interface ModelStatus extends ModelInfo {
  readonly rows: number;
  /** Rows that wait for their vector. */
  readonly missing: number;
  readonly setAside: number;
  readonly setAsideRows: readonly SetAsideRow[];
  /** Leases of its backfill: all, done, and in work. */
  readonly leases: { readonly total: number; readonly done: number; readonly busy: number };
  /** Share of the backfill's updates that stayed on their page, 0 to 1. */
  readonly hotRatio: number | undefined;
  readonly indexed: boolean;
  readonly comparison: ComparisonVerdict | undefined;
}

export interface ModelsStatus {
  readonly epoch: number;
  readonly versions: readonly ModelStatus[];
  readonly processes: readonly StoreProcess[];
}

export function modelInfos(store: OpenStore): ModelInfo[] {
  return store.models.live.map((version) => {
    const { embedder, probe, ...model } = version;
    void probe;
    return { ...model, embedder: embedder !== undefined };
  });
}

/** Reads the table: counts of all rows, and of those that wait for a vector. */
export async function readStatus(store: OpenStore): Promise<ModelsStatus> {
  const scopes = await tenantScopes(store);
  const versions: ModelStatus[] = [];
  for (const info of modelInfos(store)) {
    const { rows, missing } = await completenessOf(store, scopes, info);
    const aside = await listSetAside(store, scopes, info.version);
    const leases = { total: 0, done: 0, busy: 0, filled: 0, kept: 0 };
    for (const scope of scopes) {
      const { rows: found } = await store.database.execute(
        {
          name: "backfill-status",
          sql: sql`
            select count(*)::float8 as total, (count(*) filter (where done))::float8 as done,
              (count(*) filter (where not done and leased_until > clock_timestamp()))::float8 as busy,
              coalesce(sum(filled), 0)::float8 as filled, coalesce(sum(kept_in_place), 0)::float8 as kept
            from ${qualified(store.schema, backfillTables(store.options.layout)[0])}
            where tenant_id = ${scope.tenant}::text and version = ${info.version}::int4`,
        },
        { settings: scope.settings },
      );
      const row = found[0] as typeof leases;
      for (const key of Object.keys(leases) as (keyof typeof leases)[]) leases[key] += row[key];
    }
    const { total, done, busy, filled, kept } = leases;
    versions.push({
      ...info,
      rows,
      missing,
      setAside: aside.count,
      setAsideRows: aside.rows,
      leases: { total, done, busy },
      hotRatio: filled === 0 ? undefined : kept / filled,
      indexed: await hasIndex(store, info.version),
      comparison: await storedComparison(store, info.version),
    });
  }
  return { epoch: store.models.epoch, versions, processes: await liveProcesses(store) };
}
