import type pg from "pg";

export interface RecordedQuery {
  readonly text: string;
  readonly values: readonly unknown[];
  /** Settings that travelled with the statement, by name. */
  readonly settings: Readonly<Record<string, string>>;
}

interface Bound {
  connection: { bind(message: { values?: unknown[] }): void };
}

/** Records every statement that goes through connections which `pool` makes from now on, oldest first. */
export function recordQueries(pool: pg.Pool): RecordedQuery[] {
  const recorded: RecordedQuery[] = [];
  pool.on("connect", (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    const recording = (...args: unknown[]): unknown => {
      const [first, second] = args as [string | { text?: string; values?: unknown[] }, unknown];
      const text = typeof first === "string" ? first : (first.text ?? "");
      const values = typeof first === "string" ? (Array.isArray(second) ? (second as unknown[]) : []) : first.values;
      recorded.push({ text, values: values ?? [], settings: {} });
      return query(...args);
    };
    Object.assign(client, { query: recording });
    const { connection } = client as unknown as Bound;
    const bind = connection.bind.bind(connection);
    connection.bind = (message) => {
      const last = recorded.at(-1);
      const values = message.values ?? [];
      // The statement's own values are bound after those of its settings.
      if (last !== undefined && !isOwn(last, values)) {
        for (let i = 0; i + 1 < values.length; i += 2) {
          Object.assign(last.settings, { [String(values[i])]: String(values[i + 1]) });
        }
      }
      bind(message);
    };
  });
  return recorded;
}

/** Whether values that are bound are the statement's own; a vector or a list becomes bytes on the way. */
function isOwn(last: RecordedQuery, values: readonly unknown[]): boolean {
  const [first] = last.values;
  return last.values.length === values.length && (Buffer.isBuffer(values[0]) || String(first) === String(values[0]));
}

/** The plan of a recorded statement, one line per node, under settings for this transaction alone. */
export async function explain(pool: pg.Pool, query: RecordedQuery, settings: string[] = []): Promise<string> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    for (const setting of settings) await client.query(`set local ${setting}`);
    const { rows } = await client.query<{ "QUERY PLAN": string }>(`explain (costs off) ${query.text}`, [
      ...query.values,
    ]);
    return rows.map((row) => row["QUERY PLAN"]).join("\n");
  } finally {
    await client.query("rollback");
    client.release();
  }
}
