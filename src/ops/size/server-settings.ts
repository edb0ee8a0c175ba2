import { SHARED_BUFFERS, type SizeEstimate } from "./estimate.js";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** Machines come with so many gigabytes. */
const MACHINES = [2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1_024, 1_536, 2_048, 3_072, 4_096];

/** Gigabytes of the smallest usual machine with so much memory; what no machine has is rounded up to a terabyte. */
export function machineGib(memoryBytes: number): number {
  return MACHINES.find((gib) => gib * GIB >= memoryBytes) ?? Math.ceil(memoryBytes / GIB / 1_024) * 1_024;
}

/** Settings for `postgresql.conf` on a machine that the vectors have to themselves or nearly so. */
export function serverSettings(estimate: SizeEstimate): Readonly<Record<string, string>> {
  const machine = machineGib(estimate.memoryBytes) * GIB;
  const { cores } = estimate;
  // A build may use what is left beside the cache; one that needs more is done with fewer rows at once.
  const build = Math.min(estimate.buildMemoryBytes * 1.1, machine / 4);
  return {
    shared_buffers: size(machine * SHARED_BUFFERS),
    effective_cache_size: size(machine * 0.75),
    maintenance_work_mem: size(Math.max(256 * MIB, build)),
    max_parallel_maintenance_workers: String(Math.max(1, Math.min(7, cores - 1))),
    max_parallel_workers: String(Math.max(2, cores)),
    work_mem: size(Math.min(64 * MIB, machine / 500)),
    max_wal_size: size(Math.min(64 * GIB, Math.max(2 * GIB, estimate.indexBytes / 2))),
    random_page_cost: "1.1",
    // A vacuum repairs the graphs, page by page in memory, and would rest for half of its time.
    autovacuum_vacuum_cost_limit: "2000",
  };
}

/** As PostgreSQL writes it, in whole megabytes or gigabytes. */
function size(bytes: number): string {
  return bytes >= 4 * GIB ? `${Math.floor(bytes / GIB)}GB` : `${Math.max(4, Math.floor(bytes / MIB))}MB`;
}
