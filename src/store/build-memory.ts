import sql, { raw, type Sql } from "sql-template-tag";
import type { Session } from "../db/database.js";
import { quoteQualified } from "../db/identifiers.js";
import type { Quantization, StorageType } from "../schema/layout.js";
import { storedBytes } from "./storage.js";

/** Bytes of one element of the graph beside its vector, and for each of its `m` neighbours; 956 measured at `m` 16. */
const BYTES_PER_ELEMENT = 400;
const BYTES_PER_M = 35;
/** For what the memory allocator loses. */
const HEADROOM = 1.1;
/** For a smaller table, out-of-line vectors included, starting processes takes longer than they save. */
const PARALLEL_BYTES = 16 * 2 ** 20;

/** What a build needs to know of its vectors. */
export interface BuiltVectors {
  readonly dimensions: number;
  readonly storageType: StorageType;
  /** An index of signs holds a bit for each dimension. */
  readonly quantization?: Quantization | undefined;
}

/** Memory and processes of one build. */
export interface BuildResources {
  /** Such as `"4GB"`. @defaultValue what the graph is estimated to need, at most the server's `shared_buffers` */
  readonly memory?: string | undefined;
  /** Processes beside the backend's own. @defaultValue as many as `max_parallel_maintenance_workers` allows */
  readonly workers?: number | undefined;
}

/** Bytes of a vector as it is in its index. */
export function indexedBytes(vectors: BuiltVectors): number {
  return vectors.quantization === "binary" ? vectors.dimensions / 8 : storedBytes(vectors);
}

/** Bytes that one vector takes in the graph of an HNSW index while it is built. */
export function graphBytesPerRow(vectors: BuiltVectors, m: number): number {
  return indexedBytes(vectors) + BYTES_PER_ELEMENT + BYTES_PER_M * m;
}

/** What a build got, in bytes. */
export interface BuildMemory {
  /** What the graph of all rows is estimated to take. */
  readonly needed: number;
  readonly granted: number;
}

/** Bytes that a build needs: for each row of its table, of which a row takes `stored` at least, or in all. */
export type BuildNeed = { readonly perRow: number; readonly stored: number } | { readonly total: number };

/** What the build of an HNSW index needs. */
export function graphNeed(vectors: BuiltVectors, m: number): BuildNeed {
  const perRow = graphBytesPerRow(vectors, m);
  return { perRow, stored: Math.max(perRow, storedBytes(vectors)) };
}

/**
 * Gives one session what building a vector index takes, and takes it back: the memory that the graph needs, at most what
 * the server's shared buffers have and never less than its own setting, without which the build goes to disk and takes
 * several times as long; parallel workers, which Postgres would count by the size of a table whose vectors lie elsewhere;
 * no time-outs; and an end when its client is gone, so that a killed process leaves no build behind.
 */
export async function withBuildResources<T>(
  session: Session,
  { schema, table }: { readonly schema: string; readonly table: string },
  need: BuildNeed,
  { memory, workers }: BuildResources,
  build: (memory: BuildMemory) => Promise<T>,
): Promise<T> {
  const needed = bytesNeeded(need);
  const given = memory === undefined ? sql`null::int8` : sql`pg_size_bytes(${memory}::text)`;
  try {
    // Fails where the platform cannot watch a socket; the build then only outlives its client.
    await session
      .execute({
        name: "build-watch",
        sql: sql`select set_config('client_connection_check_interval', '2s', false)`,
      })
      .catch(() => undefined);
    const { rows } = await session.execute({
      name: "build-resources",
      sql: sql`
        select needed::float8 as needed, granted::float8 as granted,
          set_config('maintenance_work_mem', (granted / 1024)::text || 'kB', false),
          set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false),
          set_config('min_parallel_table_scan_size',
            case when bytes >= ${PARALLEL_BYTES}::int8 then '0' else current_setting('min_parallel_table_scan_size') end, false),
          set_config('max_parallel_maintenance_workers',
            coalesce(${workers ?? null}::int4::text, current_setting('max_parallel_maintenance_workers')), false)
        from (
          select pg_table_size(c.oid) as bytes, ${needed} as needed, coalesce(${given}, greatest(
            pg_size_bytes(current_setting('maintenance_work_mem')),
            least(${"total" in need ? needed : sql`pg_size_bytes(current_setting('shared_buffers'))`}, ${needed})
          )) as granted
          from pg_class c where c.oid = to_regclass(${quoteQualified(schema, table)}::text)
        ) as m`,
    });
    return await build(rows[0] as unknown as BuildMemory);
  } finally {
    const script = SETTINGS.map((setting) => `reset ${setting};`).join(" ");
    await session.execute({ name: "build-resources", sql: raw(script) }).catch(() => undefined);
  }
}

/** An IVFFlat build fails with less; a graph that does not fit goes to disk. */
function bytesNeeded(need: BuildNeed): Sql {
  if ("total" in need) return sql`${need.total}::int8`;
  const [perRow, stored] = [raw(String(need.perRow)), raw(String(need.stored))];
  return sql`(greatest(c.reltuples, pg_table_size(c.oid)::float8 / ${stored}) * ${perRow} * ${raw(String(HEADROOM))})::int8`;
}

const SETTINGS = [
  "maintenance_work_mem",
  "statement_timeout",
  "lock_timeout",
  "min_parallel_table_scan_size",
  "max_parallel_maintenance_workers",
  "client_connection_check_interval",
] as const;
