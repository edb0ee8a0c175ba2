import type { QueryRequest } from "./pool.js";

/** Postgres settings for one transaction, by name. They never outlive it, so any pooler is safe. */
export type Settings = Readonly<Record<string, string>>;

/** The one statement that applies settings to the current transaction. Its text depends on their number alone. */
export function applySettings(settings: Settings): QueryRequest | undefined {
  const values = Object.entries(settings).flat();
  if (values.length === 0) return undefined;
  let calls = "set_config($1::text, $2::text, true)";
  for (let i = 3; i < values.length; i += 2) calls += `, set_config($${i}::text, $${i + 1}::text, true)`;
  return { text: `select /* langchain-pgvector:settings */ ${calls}`, values };
}
