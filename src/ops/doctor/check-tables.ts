import { WHOLE_ROW_BYTES } from "../../schema/partitions.js";
import { bytesText, countText, finding, fixable, percent, type DoctorFinding } from "../../store/finding.js";
import { PAGE_BYTES } from "../size/pages.js";
import { numberOf } from "./read-server.js";
import type { TableFacts } from "./read-tables.js";
import type { Snapshot } from "./snapshot.js";
import { isVacuumedLate, vacuumAdvice, vacuumSettings } from "./vacuum-advice.js";

/** Dead rows, vacuum and statistics, storage: what makes one table slow or unsafe. No I/O. */
export function checkTables(snapshot: Snapshot): DoctorFinding[] {
  return snapshot.tables
    .filter(({ partitioned }) => !partitioned)
    .flatMap((table) => [
      ...deadRows(table, snapshot),
      ...autovacuum(table, snapshot),
      ...statistics(table),
      ...unlogged(table),
      ...hot(table, snapshot),
      ...bloat(table, snapshot),
      ...compression(table),
    ]);
}

function deadRows(table: TableFacts, { limits, indexes }: Snapshot): DoctorFinding[] {
  const { name, dead, live, lastVacuum } = table;
  const share = dead / Math.max(1, dead + live);
  if (dead < limits.deadRows || share < limits.deadShare) return [];
  const graphs = indexes
    .filter((index) => index.table === name && index.method === "hnsw" && index.valid)
    .map((index) => index.name);
  const { cost, cure } = vacuumAdvice(name, dead, live, graphs);
  return [
    fixable(
      "table-dead-rows",
      "warning",
      name,
      `${countText(dead)} rows of ${name} are dead (${percent(share)}), and it was ${lastVacuum === null ? "never vacuumed" : `last vacuumed at ${lastVacuum}`}.${cost}`,
      cure,
    ),
  ];
}

function autovacuum(table: TableFacts, { server }: Snapshot): DoctorFinding[] {
  const { name, options } = table;
  if (["off", "false", "no", "0"].includes(options["autovacuum_enabled"] ?? "on")) {
    return [
      fixable(
        "autovacuum-disabled",
        "warning",
        name,
        `Autovacuum is off for ${name}: dead rows stay in the table and in its indexes, and its statistics grow old.`,
        `alter table ${name} reset (autovacuum_enabled, toast.autovacuum_enabled);`,
      ),
    ];
  }
  const rows = Math.max(table.rows, table.live);
  const threshold = Number(options["autovacuum_vacuum_threshold"] ?? numberOf(server, "autovacuum_vacuum_threshold"));
  const factor = Number(
    options["autovacuum_vacuum_scale_factor"] ?? numberOf(server, "autovacuum_vacuum_scale_factor"),
  );
  if (!isVacuumedLate(rows, threshold, factor)) return [];
  const wanted = vacuumSettings(rows);
  return [
    fixable(
      "autovacuum-too-late",
      "warning",
      name,
      `Autovacuum comes to ${name} (${countText(rows)} rows) when ${countText(threshold + factor * rows)} rows are dead ` +
        `(threshold ${countText(threshold)}, scale factor ${factor}); until then they slow searches, and the vacuum is a long one.`,
      `alter table ${name} set (autovacuum_vacuum_threshold = ${wanted.threshold}, autovacuum_vacuum_scale_factor = ${wanted.scaleFactor});`,
    ),
  ];
}

function statistics({ name, rows, live, bytes, lastAnalyze, changedSinceAnalyze }: TableFacts): DoctorFinding[] {
  const size = Math.max(rows, live);
  if (bytes > 0 && size >= 1_000 && lastAnalyze === null) {
    return [
      fixable(
        "statistics-missing",
        "warning",
        name,
        `${name} has about ${countText(size)} rows and was never analyzed, so the planner guesses what a filter keeps.`,
        `analyze ${name};`,
      ),
    ];
  }
  if (lastAnalyze === null || changedSinceAnalyze < 1_000 || changedSinceAnalyze < 0.5 * size) return [];
  return [
    fixable(
      "statistics-stale",
      "warning",
      name,
      `${countText(changedSinceAnalyze)} rows of ${name} have changed since it was last analyzed (${lastAnalyze}).`,
      `analyze ${name};`,
    ),
  ];
}

function unlogged({ name, unlogged: is }: TableFacts): DoctorFinding[] {
  if (!is) return [];
  return [
    finding(
      "table-unlogged",
      "error",
      name,
      `${name} is unlogged: it is emptied by the next crash of the server, and standbys and backups from them have no row of it.`,
      `-- writes the table and its indexes anew, and blocks it meanwhile:\nalter table ${name} set logged;`,
    ),
  ];
}

function hot({ name, updates, hotUpdates, options }: TableFacts, { limits }: Snapshot): DoctorFinding[] {
  const fillfactor = Number(options["fillfactor"] ?? 100);
  // No page has room for a further row that has its vector in it.
  const inline = Number(options["toast_tuple_target"] ?? 0) >= WHOLE_ROW_BYTES;
  if (updates < limits.updates || hotUpdates >= limits.hotShare * updates || fillfactor <= 90 || inline) return [];
  return [
    fixable(
      "hot-updates-low",
      "warning",
      name,
      `Only ${percent(hotUpdates / updates)} of ${countText(updates)} updates of ${name} stayed within their page (fillfactor ${fillfactor}): ` +
        "the others wrote to every index, the vector index included.",
      `alter table ${name} set (fillfactor = 90);`,
    ),
  ];
}

function bloat({ name, bytes, rowBytes, live, rows, options }: TableFacts, { limits }: Snapshot): DoctorFinding[] {
  const count = rows < 0 ? live : Math.min(rows, live);
  if (rowBytes === 0) return [];
  // A page holds whole rows, which matters where they have their vectors in them.
  const filled = (PAGE_BYTES * Number(options["fillfactor"] ?? 100)) / 100;
  const expected = Math.ceil(count / Math.max(1, Math.floor(filled / (rowBytes + 32)))) * PAGE_BYTES;
  if (bytes < 2 * expected || bytes - expected < limits.bloatBytes) return [];
  return [
    finding(
      "table-bloat",
      "warning",
      name,
      `${name} has ${bytesText(bytes)}, and its ${countText(count)} rows need about ${bytesText(expected)}: the rest is space of rows that are ` +
        "gone. New rows use it; what reads the whole table reads it too.",
      `-- blocks the table for its time; pg_repack does not:\nvacuum (full, analyze) ${name};`,
    ),
  ];
}

function compression({ name, compressed }: TableFacts): DoctorFinding[] {
  return compressed.map(({ column, type }) =>
    fixable(
      "vector-compression",
      "warning",
      `${name}.${column}`,
      `Postgres tries to compress each ${type} of ${name}.${column}; vectors do not get smaller by it, and reading them takes longer.`,
      `alter table ${name} alter column "${column.replaceAll('"', '""')}" set storage external;`,
    ),
  );
}
