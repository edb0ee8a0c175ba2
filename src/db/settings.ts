import sql, { join, type Sql } from "sql-template-tag";

/** Postgres settings for one transaction, by name. They never outlive it, so any pooler is safe. */
export type Settings = Readonly<Record<string, string>>;

/** The one statement that applies settings to the current transaction. */
export function applySettings(settings: Settings): Sql | undefined {
  const entries = Object.entries(settings);
  if (entries.length === 0) return undefined;
  const calls = entries.map(([name, value]) => sql`set_config(${name}::text, ${value}::text, true)`);
  return sql`select /* langchain-pgvector:settings */ ${join(calls)}`;
}
