import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import { qualified } from "../../db/identifiers.js";
import { PROCESSES_TABLE } from "../../schema/layout.js";
import type { OpenStore } from "../open.js";

const BEAT_MS = 10_000;
/** After so long without a beat a process is taken for gone. */
export const PROCESS_LIFE_SECONDS = 35;

/**
 * Says regularly, while a store has more than one model version, that this process is there and whose embedders it has:
 * a cut-over waits for those that lack the new one. Needs no answer: where it may not write, it is not counted.
 */
export class ProcessBeat {
  readonly #process = randomUUID();
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void> = Promise.resolve();
  #store: OpenStore | undefined;

  /** To be called with the store whenever its models have been read. */
  watch(store: OpenStore): void {
    this.#store = store;
    if (store.models.live.length < 2 || store.embedders.administers) return this.#stop();
    this.#beat();
    this.#timer ??= setInterval(() => this.#beat(), BEAT_MS).unref();
  }

  /** Signs off. */
  async end(): Promise<void> {
    const running = this.#timer !== undefined;
    this.#stop();
    await this.#beating;
    const store = this.#store;
    if (!running || store === undefined) return;
    const gone = sql`
      delete from ${qualified(store.schema, PROCESSES_TABLE)}
      where store = ${store.options.layout.table}::text and process = ${this.#process}::uuid`;
    await store.database
      .execute({ name: "process-end", sql: gone }, { settings: roleOf(store) })
      .catch(() => undefined);
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #beat(): void {
    const store = this.#store!;
    const fingerprints = store.models.live.filter(({ embedder }) => embedder !== undefined);
    const statement = sql`
      insert into ${qualified(store.schema, PROCESSES_TABLE)} (store, process, label, fingerprints)
      values (${store.options.layout.table}::text, ${this.#process}::uuid, ${`${hostname()} pid ${process.pid}`}::text,
        ${new TextArrayParameter(fingerprints.map(({ fingerprint }) => fingerprint))}::text[])
      on conflict (store, process) do update set fingerprints = excluded.fingerprints, seen_at = now()`;
    this.#beating = store.database.execute({ name: "process-beat", sql: statement }, { settings: roleOf(store) }).then(
      () => undefined,
      () => undefined,
    );
  }
}

/** The role that calls work as; no tenant's rows are touched. */
function roleOf({ scopeRole }: OpenStore): Record<string, string> {
  return scopeRole === undefined ? {} : { role: scopeRole };
}
