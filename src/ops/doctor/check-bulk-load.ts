import type { Database } from "../../db/database.js";
import type { Layout } from "../../schema/layout.js";
import { isAbandoned, mayReadRecords, readRecords } from "../../store/bulk-load/maintenance.js";
import { finding, type DoctorFinding } from "../../store/finding.js";

/** What bulk loads have changed for their time: findings of dead ones, and the tables that they answer for. */
export async function checkBulkLoads(
  database: Database,
  schema: string,
  layout: Layout,
): Promise<{ readonly findings: DoctorFinding[]; readonly autovacuum: boolean; readonly indexes: boolean }> {
  const place = { database, schema, options: { layout } };
  const records = (await mayReadRecords(place)) ? await readRecords(place) : [];
  const what = records.map(({ kind, name }) => (kind === "index" ? `the index ${JSON.stringify(name)}` : "autovacuum"));
  const findings = records.some(isAbandoned)
    ? [
        {
          ...finding(
            "bulk-load-interrupted",
            "warning",
            layout.table,
            `A bulk load ended before it could restore ${what.join(", ")}.`,
            `npx langchain-pgvector doctor --fix --table ${layout.table}`,
          ),
          fixable: true,
        },
      ]
    : [];
  return {
    findings,
    autovacuum: records.some(({ kind }) => kind === "autovacuum"),
    indexes: records.some(({ kind }) => kind === "index"),
  };
}
