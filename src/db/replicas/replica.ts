import { orAbort } from "../abort.js";
import type { Pool } from "../pool.js";
import { sqlstateOf } from "../sqlstate.js";
import { DatabaseError } from "../../errors.js";

/** A place in the write-ahead log. */
export type LogPosition = bigint;

/** `16/B374D848`, as PostgreSQL prints it. */
export function parsePosition(text: string): LogPosition {
  const [high, low] = text.split("/") as [string, string];
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}

/** How long a question about the state of a server may take before it counts as down. */
export const CHECK_TIMEOUT_MS = 2_000;
/** A replica that failed is not asked again for so long. */
const REST_MS = 1_000;

/** One standby, and what is known of it. */
export class Replica {
  /** How far it has replayed; `undefined` while it is not known, and where the server does not say. */
  replayed: LogPosition | undefined;
  /** Why it takes no searches; `undefined` while it does. */
  fault: string | undefined = "it has not been asked yet";
  #restUntil = 0;

  constructor(
    readonly name: string,
    readonly pool: Pool,
  ) {}

  get resting(): boolean {
    return performance.now() < this.#restUntil;
  }

  fail(error: unknown): void {
    this.fault = error instanceof Error ? error.message : String(error);
    this.#restUntil = performance.now() + REST_MS;
  }

  /** Asks the server where it is. Never throws: what goes wrong becomes the {@link fault}. */
  async check(): Promise<void> {
    if (this.resting) return;
    try {
      const row = await ask(
        this.pool,
        "select /* langchain-pgvector:replica-state */ pg_is_in_recovery() as standby, pg_last_wal_replay_lsn()::text as replayed",
      );
      this.replayed = typeof row["replayed"] === "string" ? parsePosition(row["replayed"]) : undefined;
      this.fault = row["standby"] === true ? undefined : "it is no standby: it takes writes of its own";
    } catch (error) {
      this.fail(error);
    }
  }
}

/** The statement that was running reports the loss of its connection. */
const ignore = (): void => undefined;

/** One row from a server, or an error after {@link CHECK_TIMEOUT_MS}. */
export async function ask(pool: Pool, text: string): Promise<Record<string, unknown>> {
  const signal = AbortSignal.timeout(CHECK_TIMEOUT_MS);
  const connecting = pool.connect();
  connecting.then(
    (client) => signal.aborted && client.release(),
    () => undefined,
  );
  const client = await orAbort(connecting, signal);
  client.on?.("error", ignore);
  try {
    const { rows } = await orAbort(client.query({ text }), signal);
    client.off?.("error", ignore);
    client.release();
    return rows[0] ?? {};
  } catch (error) {
    client.release(true);
    throw error;
  }
}

/** Whether a replica has yet to replay what a statement relies on: a table, a column, a change of the models (LP001). */
export function isReplicaLate(error: unknown): boolean {
  return /^(42P01|42703|42704|42883|LP001)$/.test(sqlstateOf(error) ?? "");
}

/**
 * Whether another server may answer what this one did not: it is down, starting or stopping, has no free connection, or
 * cancelled the statement because the log it replays removes rows that it reads.
 */
export function isReplicaFault(error: unknown): boolean {
  if (!(error instanceof DatabaseError)) return false;
  const sqlstate = sqlstateOf(error);
  return sqlstate === undefined || /^(08|57P|53|40001|40P01|XX|58)/.test(sqlstate);
}
