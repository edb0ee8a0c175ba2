import type { IndexStats, StoreStats, TableStats } from "./read.js";
import type { StatementStats } from "./statements.js";

/** Statistics as tables for a terminal; with an earlier reading also how many of each came in a second since. */
export function statsText(now: StoreStats, before?: StoreStats): string {
  const seconds = before === undefined ? 0 : (now.at.getTime() - before.at.getTime()) / 1_000;
  const { connections: open } = now;
  return [
    `${now.at.toISOString()}  ${open.used} of ${open.max} connections, ${open.active} active`,
    ...standing(now),
    "",
    ...columns(
      ["table", "rows", "dead", "size", "out of line", "cached", "HOT", "vacuumed"],
      now.tables.map(tableLine),
    ),
    "",
    ...columns(
      ["index", "method", "size", "scans", ...(before ? ["scans/s"] : []), "read", "fetched", "cached"],
      now.indexes.map((index) => indexLine(index, before?.indexes, seconds)),
    ),
    "",
    ...statementLines(now.statements, before?.statements, seconds),
  ].join("\n");
}

const MOST_STATEMENTS = 15;

function standing({ replicas, behindSeconds }: StoreStats): string[] {
  return [
    ...(behindSeconds === undefined ? [] : [`a standby, ${behindSeconds.toFixed(1)} s behind its primary`]),
    ...replicas.map(
      ({ name, state, lagBytes, lagSeconds }) =>
        `replica ${name}: ${state}, ${size(lagBytes)} and ${lagSeconds.toFixed(1)} s behind`,
    ),
  ];
}

function tableLine(table: TableStats): string[] {
  const { name, rows, deadRows, heapBytes, toastBytes, blocksHit, blocksRead, updates, hotUpdates, sinceVacuum } =
    table;
  return [
    name,
    whole(rows),
    rows + deadRows === 0 ? "0" : `${whole(deadRows)} (${percent(deadRows, rows + deadRows)})`,
    size(heapBytes),
    size(toastBytes),
    percent(blocksHit, blocksHit + blocksRead),
    percent(hotUpdates, updates),
    sinceVacuum === undefined ? "never" : `${age(sinceVacuum)} ago`,
  ];
}

function indexLine(index: IndexStats, before: readonly IndexStats[] | undefined, seconds: number): string[] {
  const then = before?.find(({ name, table }) => name === index.name && table === index.table);
  return [
    index.valid ? index.name : `${index.name} (INVALID)`,
    index.method,
    size(index.bytes),
    whole(index.scans),
    ...(before === undefined ? [] : [rate(index.scans - (then?.scans ?? index.scans), seconds)]),
    whole(index.tuplesRead),
    whole(index.tuplesFetched),
    percent(index.blocksHit, index.blocksHit + index.blocksRead),
  ];
}

function statementLines(
  statements: readonly StatementStats[] | undefined,
  before: readonly StatementStats[] | undefined,
  seconds: number,
): string[] {
  if (statements === undefined) return ["statements: create extension pg_stat_statements; shows what each costs"];
  const heads = ["statement", "calls", ...(before ? ["calls/s"] : []), "mean ms", "max ms", "total s", "cached"];
  const lines = statements.slice(0, MOST_STATEMENTS).map((statement) => {
    const then = before?.find(({ name }) => name === statement.name);
    return [
      statement.name,
      whole(statement.calls),
      ...(before === undefined ? [] : [rate(statement.calls - (then?.calls ?? 0), seconds)]),
      statement.meanMs.toFixed(2),
      statement.maxMs.toFixed(1),
      (statement.totalMs / 1_000).toFixed(1),
      percent(statement.blocksHit, statement.blocksHit + statement.blocksRead),
    ];
  });
  return columns(heads, lines);
}

/** The first column starts, all others end at the same place. */
function columns(heads: readonly string[], lines: readonly (readonly string[])[]): string[] {
  const every = [heads, ...lines];
  const widths = heads.map((_, i) => Math.max(...every.map((line) => line[i]!.length)));
  return every.map((line) =>
    line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  "),
  );
}

function percent(part: number, all: number): string {
  return all === 0 ? "-" : `${((100 * part) / all).toFixed(1)} %`;
}

function rate(difference: number, seconds: number): string {
  return seconds === 0 ? "-" : (Math.max(0, difference) / seconds).toFixed(1);
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function size(bytes: number): string {
  if (bytes < 2 ** 20) return `${(bytes / 2 ** 10).toFixed(0)} kB`;
  return bytes < 2 ** 30 ? `${(bytes / 2 ** 20).toFixed(1)} MB` : `${(bytes / 2 ** 30).toFixed(2)} GB`;
}

function age(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} days`;
}
