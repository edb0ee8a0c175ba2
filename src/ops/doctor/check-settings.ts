import { quoteIdentifier } from "../../db/identifiers.js";
import { bytesText, countText, finding, type DoctorFinding } from "../../store/finding.js";
import { indexedBytes } from "../../store/build-memory.js";
import { isVectorIndex, indexOption } from "../../store/explain/read-indexes.js";
import { methodOff } from "../../store/explain/search-findings.js";
import { bytesOf, isOn, numberOf } from "./read-server.js";
import { storeOf, type Snapshot, type StoreSnapshot } from "./snapshot.js";

const METHODS = [
  "enable_indexscan",
  "enable_bitmapscan",
  "enable_seqscan",
  "enable_sort",
  "enable_nestloop",
  "enable_hashjoin",
  "enable_indexonlyscan",
];
const SMALLEST_WORK_MEM = 4 * 1_048_576;
const SMALLEST_JIT_COST = 100_000;
/** Bytes of an HNSW graph for one neighbour of `m`, measured at 956 for `m` 16. */
const BYTES_PER_M = 60;

/** Settings against the data and the server's own idea of the machine. No I/O. */
export function checkSettings(snapshot: Snapshot): DoctorFinding[] {
  const store = storeOf(snapshot);
  return [
    ...METHODS.filter((name) => snapshot.server.settings.get(name)?.value === "off").map((name) =>
      methodOff(name, "the planner has to take ways that it knows to be slower"),
    ),
    ...jit(snapshot),
    ...workMemory(snapshot),
    ...autovacuum(snapshot),
    ...(store === undefined ? [] : [...sharedBuffers(store), ...buildMemory(store), ...pageCost(store)]),
  ];
}

function alter(snapshot: Snapshot, name: string, value: string): string {
  return `alter database ${quoteIdentifier(snapshot.server.database)} set ${name} = ${value};`;
}

function jit(snapshot: Snapshot): DoctorFinding[] {
  const { server } = snapshot;
  const cost = numberOf(server, "jit_above_cost");
  if (!isOn(server, "jit") || cost < 0 || cost >= SMALLEST_JIT_COST) return [];
  return [
    finding(
      "jit-eager",
      "warning",
      "jit_above_cost",
      `jit is on from an estimated cost of ${countText(cost)}: compiling a search takes longer than running it.` +
        (server.jit ? "" : " No JIT compiler is installed at the moment, so it begins when one is."),
      alter(snapshot, "jit_above_cost", String(SMALLEST_JIT_COST)),
    ),
  ];
}

function workMemory(snapshot: Snapshot): DoctorFinding[] {
  const { server } = snapshot;
  const memory = bytesOf(server, "work_mem");
  if (memory < SMALLEST_WORK_MEM) {
    return [
      finding(
        "work-mem-small",
        "warning",
        "work_mem",
        `work_mem is ${bytesText(memory)}: exact searches sort through files, and an iterative scan of an HNSW index gives up when its ` +
          "visited entries fill hnsw.scan_mem_multiplier times as much.",
        alter(snapshot, "work_mem", "'16MB'"),
      ),
    ];
  }
  const all = memory * numberOf(server, "max_connections");
  const cache = bytesOf(server, "effective_cache_size");
  if (memory <= 64 * 1_048_576 || all <= 4 * cache) return [];
  return [
    finding(
      "work-mem-large",
      "warning",
      "work_mem",
      `work_mem is ${bytesText(memory)} for each sort, and there may be ${numberOf(server, "max_connections")} connections: ${bytesText(all)} ` +
        `together, where effective_cache_size says that the machine has about ${bytesText(cache)}.`,
      alter(snapshot, "work_mem", "'32MB'"),
    ),
  ];
}

function autovacuum({ server }: Snapshot): DoctorFinding[] {
  return (["autovacuum", "track_counts"] as const)
    .filter((name) => !isOn(server, name))
    .map((name) =>
      finding(
        "autovacuum-off",
        "error",
        name,
        `${name} is off, so no table is vacuumed or analyzed by itself: dead rows stay in tables and graphs, and transaction ids run out.`,
        `alter system set ${name} = on;\nselect pg_reload_conf();`,
      ),
    );
}

function sharedBuffers({ server, indexes }: StoreSnapshot): DoctorFinding[] {
  const memory = bytesOf(server, "shared_buffers");
  const cache = bytesOf(server, "effective_cache_size");
  const size = indexes.filter(isVectorIndex).reduce((sum, { bytes }) => sum + bytes, 0);
  if (size <= memory || cache < 2 * memory) return [];
  return [
    finding(
      "shared-buffers-small",
      "warning",
      "shared_buffers",
      `The vector indexes have ${bytesText(size)}, shared_buffers ${bytesText(memory)}: a search copies pages of the graph in from outside. ` +
        `By effective_cache_size (${bytesText(cache)}) the machine has room for more.`,
      `-- with a restart:\nalter system set shared_buffers = '${Math.ceil(Math.min(1.25 * size, cache / 2) / 1_048_576)}MB';`,
    ),
  ];
}

function buildMemory(snapshot: StoreSnapshot): DoctorFinding[] {
  const { server, indexes, model, limits } = snapshot;
  const memory = bytesOf(server, "maintenance_work_mem");
  const perVector = indexedBytes(model);
  const graphs = indexes
    .filter((index) => index.method === "hnsw" && !index.parent && index.rows > 0)
    .map((index) => ({ index, bytes: index.rows * (perVector + BYTES_PER_M * (indexOption(index, "m") ?? 16)) }));
  const largest = graphs.toSorted((a, b) => b.bytes - a.bytes)[0];
  const findings: DoctorFinding[] = [];
  if (largest !== undefined && largest.bytes > memory) {
    findings.push(
      finding(
        "maintenance-work-mem-small",
        "warning",
        "maintenance_work_mem",
        `The graph of ${largest.index.name} takes about ${bytesText(largest.bytes)} while it is built, maintenance_work_mem is ` +
          `${bytesText(memory)}: a reindex outgrows it and then takes several times as long.`,
        alter(snapshot, "maintenance_work_mem", `'${Math.ceil((1.1 * largest.bytes) / 1_048_576)}MB'`),
      ),
    );
  }
  const workers = Math.min(
    ...["max_parallel_maintenance_workers", "max_parallel_workers", "max_worker_processes"].map((name) =>
      numberOf(server, name),
    ),
  );
  if (workers === 0 && graphs.some(({ index }) => index.rows >= limits.rowsWithoutIndex)) {
    findings.push(
      finding(
        "parallel-maintenance-off",
        "warning",
        "max_parallel_maintenance_workers",
        "No parallel worker may help with building an index, so a graph is built by one process alone.",
        alter(snapshot, "max_parallel_maintenance_workers", "2"),
      ),
    );
  }
  return findings;
}

function pageCost(snapshot: StoreSnapshot): DoctorFinding[] {
  const { server, tables, indexes } = snapshot;
  const cost = numberOf(server, "random_page_cost");
  const size = [...tables, ...indexes].reduce((sum, { bytes }) => sum + bytes, 0);
  const cache = bytesOf(server, "effective_cache_size");
  if (cost < 3 || size === 0 || size > cache) return [];
  return [
    finding(
      "random-page-cost-high",
      "warning",
      "random_page_cost",
      `random_page_cost is ${cost}, as for rotating disks, while all data of the store (${bytesText(size)}) fits into memory ` +
        `(effective_cache_size ${bytesText(cache)}): the planner shies away from indexes.`,
      alter(snapshot, "random_page_cost", "1.1"),
    ),
  ];
}
