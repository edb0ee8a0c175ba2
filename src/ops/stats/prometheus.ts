import { Gauge, Registry } from "prom-client";
import type { ProcessStats } from "./process.js";
import { exposeProcess } from "./prometheus-process.js";
import type { StoreStats } from "./read.js";

const PREFIX = "langchain_pgvector_";

/**
 * Statistics in the text format that Prometheus scrapes: what the server knows, what a process knows (`processStats`), or
 * both. Counts that the server keeps are exposed as they are; they fall back to zero when its statistics are reset, which
 * `rate()` allows for.
 */
export async function toPrometheus(stats: StoreStats | ProcessStats): Promise<string> {
  const registry = new Registry();
  registry.setDefaultLabels({ store: stats.store });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[]): Gauge<L> =>
    new Gauge({ name: PREFIX + name, help, labelNames, registers: [registry] });
  if ("tables" in stats) {
    exposeTables(stats, gauge);
    exposeIndexes(stats, gauge);
    exposeStatements(stats, gauge);
    exposeServer(stats, gauge);
  }
  const own = "tables" in stats ? stats.process : stats;
  if (own !== undefined) exposeProcess(own, registry, PREFIX);
  return registry.metrics();
}

type MakeGauge = <L extends string>(name: string, help: string, labelNames: readonly L[]) => Gauge<L>;

function exposeTables({ tables }: StoreStats, gauge: MakeGauge): void {
  const rows = gauge("rows", "Live rows, as the server's statistics count them.", ["table"]);
  const dead = gauge("dead_rows", "Rows that vacuum has yet to remove.", ["table"]);
  const bytes = gauge("table_bytes", "Size of a table on disk, without indexes.", ["table", "part"]);
  const writes = gauge("writes_total", "Rows written since the statistics were reset.", ["table", "kind"]);
  const blocks = gauge("table_blocks_total", "Pages of tables asked for: hit in memory, or read.", ["table", "source"]);
  const vacuum = gauge("vacuum_age_seconds", "Seconds since the last vacuum.", ["table"]);
  for (const table of tables) {
    const of = { table: table.name };
    rows.set(of, table.rows);
    dead.set(of, table.deadRows);
    bytes.set({ ...of, part: "heap" }, table.heapBytes);
    bytes.set({ ...of, part: "toast" }, table.toastBytes);
    writes.set({ ...of, kind: "insert" }, table.inserts);
    writes.set({ ...of, kind: "update" }, table.updates);
    writes.set({ ...of, kind: "hot_update" }, table.hotUpdates);
    writes.set({ ...of, kind: "delete" }, table.deletes);
    blocks.set({ ...of, source: "hit" }, table.blocksHit);
    blocks.set({ ...of, source: "read" }, table.blocksRead);
    if (table.sinceVacuum !== undefined) vacuum.set(of, table.sinceVacuum);
  }
}

function exposeIndexes({ indexes }: StoreStats, gauge: MakeGauge): void {
  const labels = ["index", "table", "method"] as const;
  const bytes = gauge("index_bytes", "Size of an index on disk.", labels);
  const scans = gauge("index_scans_total", "Scans of an index since the statistics were reset.", labels);
  const read = gauge("index_tuples_read_total", "Entries that scans of an index returned.", labels);
  const fetched = gauge("index_tuples_fetched_total", "Live rows that simple scans of an index fetched.", labels);
  const blocks = gauge("index_blocks_total", "Pages of indexes asked for: hit in memory, or read.", [
    ...labels,
    "source",
  ]);
  const valid = gauge(
    "index_valid",
    "1 when an index is complete and used, 0 when it is what a failed build left.",
    labels,
  );
  for (const index of indexes) {
    const of = { index: index.name, table: index.table, method: index.method };
    bytes.set(of, index.bytes);
    scans.set(of, index.scans);
    read.set(of, index.tuplesRead);
    fetched.set(of, index.tuplesFetched);
    blocks.set({ ...of, source: "hit" }, index.blocksHit);
    blocks.set({ ...of, source: "read" }, index.blocksRead);
    valid.set(of, index.valid ? 1 : 0);
  }
}

function exposeStatements({ statements }: StoreStats, gauge: MakeGauge): void {
  if (statements === undefined) return;
  const calls = gauge("statement_calls_total", "Executions of the library's statements, by name.", ["statement"]);
  const seconds = gauge("statement_seconds_total", "Execution time of the library's statements, by name.", [
    "statement",
  ]);
  const rows = gauge("statement_rows_total", "Rows that the library's statements returned or wrote, by name.", [
    "statement",
  ]);
  for (const { name: statement, ...cost } of statements) {
    calls.set({ statement }, cost.calls);
    seconds.set({ statement }, cost.totalMs / 1_000);
    rows.set({ statement }, cost.rows);
  }
}

function exposeServer({ connections, replicas, behindSeconds }: StoreStats, gauge: MakeGauge): void {
  const open = gauge("connections", "Connections of clients to the server.", ["state"]);
  open.set({ state: "open" }, connections.used);
  open.set({ state: "active" }, connections.active);
  open.set({ state: "max" }, connections.max);
  const bytes = gauge("replica_lag_bytes", "Log that a replica has not replayed yet.", ["replica"]);
  const seconds = gauge("replica_lag_seconds", "Time that a replica is behind, as the primary sees it.", ["replica"]);
  for (const { name: replica, lagBytes, lagSeconds } of replicas) {
    bytes.set({ replica }, lagBytes);
    seconds.set({ replica }, lagSeconds);
  }
  if (behindSeconds !== undefined) {
    gauge("behind_primary_seconds", "Time that this standby is behind its primary.", []).set(behindSeconds);
  }
}
