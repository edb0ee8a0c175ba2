import type { QueryRequest } from "./pool.js";

/** Postgres settings for one transaction, by name. They never outlive it, so any pooler is safe. */
export type Settings = Readonly<Record<string, string>>;

/**
 * The one statement that applies settings to the current transaction, in their order. Its text depends on their number
 * alone.
 */
export function applySettings(...all: readonly Settings[]): QueryRequest | undefined {
  const values: string[] = [];
  for (const settings of all) for (const name of Object.keys(settings)) values.push(name, settings[name]!);
  if (values.length === 0) return undefined;
  const text = (TEXTS[values.length] ??= textFor(values.length));
  return { text, values };
}

/** By the number of values. */
const TEXTS: string[] = [];

/** Gives no row that would have to be sent and read: `set_config` is never null, so that all of it is evaluated. */
function textFor(values: number): string {
  const calls = Array.from(
    { length: values / 2 },
    (_, i) => `set_config($${2 * i + 1}::text, $${2 * i + 2}::text, true) is null`,
  );
  return `select /* langchain-pgvector:settings */ where ${calls.join(" or ")}`;
}
