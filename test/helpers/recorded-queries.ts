import type pg from "pg";

export interface RecordedQuery {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** Records every statement that goes through connections which `pool` makes from now on, oldest first. */
export function recordQueries(pool: pg.Pool): RecordedQuery[] {
  const recorded: RecordedQuery[] = [];
  pool.on("connect", (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    const recording = (...args: unknown[]): unknown => {
      const [first, values] = args as [string | Partial<RecordedQuery>, unknown];
      recorded.push(
        typeof first === "string"
          ? { text: first, values: Array.isArray(values) ? (values as unknown[]) : [] }
          : { text: first.text ?? "", values: first.values ?? [] },
      );
      return query(...args);
    };
    Object.assign(client, { query: recording });
  });
  return recorded;
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
