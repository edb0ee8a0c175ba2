import { Counter, Gauge, type Registry } from "prom-client";
import type { ProcessStats } from "./process.js";

/** Adds what one process knows of a store to a registry. Counts begin with the process. */
export function exposeProcess(stats: ProcessStats, registry: Registry, prefix: string): void {
  const options = <L extends string>(name: string, help: string, labelNames: readonly L[]) => ({
    name: prefix + name,
    help,
    labelNames,
    registers: [registry],
  });
  const gauge = <L extends string>(...of: [string, string, readonly L[]]): Gauge<L> => new Gauge(options(...of));
  const counter = <L extends string>(...of: [string, string, readonly L[]]): Counter<L> => new Counter(options(...of));
  exposeCalls(stats, counter);
  exposeConnections(stats, gauge);
  exposeEmbedding(stats, counter);
  gauge("embedding_waiting", "Calls of the embedder held back by a rate limit or after a failure.", []).set(
    stats.embedding.waiting,
  );
  const chunks = counter("chunks_total", "Chunks that this process wrote, skipped and deleted.", ["outcome"]);
  for (const [outcome, count] of Object.entries(stats.chunks)) chunks.inc({ outcome }, count);
  counter("retries_total", "Transactions and reads that this process did again.", []).inc(stats.retries);
}

type MakeGauge = <L extends string>(name: string, help: string, labelNames: readonly L[]) => Gauge<L>;
type MakeCounter = <L extends string>(name: string, help: string, labelNames: readonly L[]) => Counter<L>;

function exposeCalls({ calls }: ProcessStats, counter: MakeCounter): void {
  const made = counter("calls_total", "Public calls of the store, failed ones among them.", ["operation"]);
  const failed = counter("call_failures_total", "Public calls of the store that failed.", ["operation"]);
  const seconds = counter("call_seconds_total", "Time spent in public calls of the store.", ["operation"]);
  for (const { operation, ...count } of calls) {
    made.inc({ operation }, count.calls);
    failed.inc({ operation }, count.failures);
    seconds.inc({ operation }, count.seconds);
  }
}

function exposeConnections({ pools, replicas }: ProcessStats, gauge: MakeGauge): void {
  const open = gauge("pool_connections", "Connections of a pool of this process, by state.", ["pool", "state"]);
  const most = gauge("pool_max", "Most connections that a pool opens.", ["pool"]);
  const waiting = gauge("pool_waiting", "Calls that wait for a connection of a pool.", ["pool"]);
  for (const { name: pool, used, idle, max, waiting: calls } of pools) {
    open.set({ pool, state: "used" }, used);
    open.set({ pool, state: "idle" }, idle);
    most.set({ pool }, max);
    waiting.set({ pool }, calls);
  }
  const usable = gauge("replica_usable", "1 for a replica that takes searches of this process, 0 for one left out.", [
    "replica",
  ]);
  const lag = gauge("replica_seen_lag_seconds", "Time that a replica is behind, as this process sees it.", ["replica"]);
  for (const { name: replica, healthy, lagMs } of replicas) {
    usable.set({ replica }, healthy ? 1 : 0);
    if (lagMs !== undefined) lag.set({ replica }, lagMs / 1_000);
  }
}

function exposeEmbedding({ embedding }: ProcessStats, counter: MakeCounter): void {
  const input = ["input"] as const;
  const requests = counter("embedding_requests_total", "Calls of the embedder.", input);
  const texts = counter("embedding_texts_total", "Texts given to the embedder.", input);
  const characters = counter("embedding_characters_total", "Characters of those texts.", input);
  const failures = counter("embedding_failures_total", "Calls of the embedder that failed.", input);
  const seconds = counter("embedding_seconds_total", "Time until the embedder answered.", input);
  for (const of of ["document", "query"] as const) {
    const use = embedding[of];
    requests.inc({ input: of }, use.requests);
    texts.inc({ input: of }, use.texts);
    characters.inc({ input: of }, use.characters);
    failures.inc({ input: of }, use.failures);
    seconds.inc({ input: of }, use.seconds);
  }
  counter("embedding_retries_total", "Calls of the embedder that were made again.", []).inc(embedding.retries);
}
