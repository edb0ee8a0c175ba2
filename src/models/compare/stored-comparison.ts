import sql from "sql-template-tag";
import { qualified } from "../../db/identifiers.js";
import { MODELS_TABLE } from "../../schema/layout.js";
import type { OpenStore } from "../../store/open.js";

/** What a cut-over looks at of the last comparison of its version. */
export interface ComparisonVerdict {
  readonly passed: boolean;
  readonly failures: readonly string[];
}

export async function storedComparison(store: OpenStore, version: number): Promise<ComparisonVerdict | undefined> {
  const { rows } = await store.database.execute({
    name: "read-comparison",
    sql: sql`
      select comparison from ${qualified(store.schema, MODELS_TABLE)}
      where store = ${store.options.layout.table}::text and version = ${version}::int4`,
  });
  return (rows[0]?.["comparison"] as ComparisonVerdict | null | undefined) ?? undefined;
}

export async function storeComparison(store: OpenStore, version: number, verdict: ComparisonVerdict): Promise<void> {
  await store.database.execute({
    name: "write-comparison",
    sql: sql`
      update ${qualified(store.schema, MODELS_TABLE)} set comparison = ${JSON.stringify(verdict)}::jsonb
      where store = ${store.options.layout.table}::text and version = ${version}::int4`,
  });
}
