import sql from "sql-template-tag";
import { qualified } from "../db/identifiers.js";
import { pause } from "../db/pause.js";
import { PROCESSES_TABLE } from "../schema/layout.js";
import type { OpenStore } from "../store/open.js";
import { PROCESS_LIFE_SECONDS } from "../store/versions/process-beat.js";
import type { LiveVersion } from "../store/versions/store-models.js";

/** A process that has the store open. */
export interface StoreProcess {
  /** Its host and process id. */
  readonly label: string;
  /** Of the versions whose embedders it has. */
  readonly fingerprints: readonly string[];
}

/** The processes that were heard of lately. */
export async function liveProcesses(store: OpenStore): Promise<StoreProcess[]> {
  const { rows } = await store.database.execute({
    name: "model-processes",
    sql: sql`
      select label, fingerprints from ${qualified(store.schema, PROCESSES_TABLE)}
      where store = ${store.options.layout.table}::text and seen_at > now() - make_interval(secs => ${PROCESS_LIFE_SECONDS}::float8)
      order by label`,
  });
  return rows as unknown as StoreProcess[];
}

/** Those that could not search by a version. */
export async function processesWithout(store: OpenStore, version: LiveVersion): Promise<StoreProcess[]> {
  const processes = await liveProcesses(store);
  return processes.filter(({ fingerprints }) => !fingerprints.includes(version.fingerprint));
}

/** Waits until no process lacks the version's embedder. @returns those that still do when the time is over. */
export async function awaitEmbedders(
  store: OpenStore,
  version: LiveVersion,
  waitMs: number,
  signal: AbortSignal | undefined,
): Promise<StoreProcess[]> {
  const until = performance.now() + waitMs;
  for (;;) {
    const lacking = await processesWithout(store, version);
    if (lacking.length === 0 || performance.now() >= until) return lacking;
    await pause(Math.min(1_000, Math.max(1, until - performance.now())), signal);
  }
}
