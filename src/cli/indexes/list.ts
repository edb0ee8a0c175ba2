import type { Command } from "commander";
import type { IndexInfo } from "../../ops/indexes/list.js";
import { formatSetting } from "../../store/index-note.js";
import type { CliContext } from "../context.js";
import { addIndexCommand, withIndexes, type IndexFlags } from "./open.js";

export function addIndexesList(indexes: Command, context: CliContext): void {
  addIndexCommand(indexes, "list", "every index of the table: type, parameters, size, rows, use, state").action(
    (flags: IndexFlags) =>
      withIndexes(context, flags, async (store) => {
        const found = await store.list();
        const advice = await store.advice();
        if (flags.json) return context.out(JSON.stringify({ indexes: found, advice }));
        context.out(toTable(found.map(toRow)));
        for (const line of advice) context.err(line);
      }),
  );
}

const HEADS = ["name", "type", "parameters", "metric", "MiB", "rows", "scans", "read", "fetched", "state"];

function toRow(index: IndexInfo): string[] {
  const parameters = Object.entries(index.parameters).map(([name, value]) => `${name}=${value}`);
  return [
    index.name,
    index.type,
    parameters.join(" ") || "-",
    index.metric ?? "-",
    (index.bytes / 2 ** 20).toFixed(1),
    number(index.rows),
    number(index.scans),
    number(index.tuplesRead),
    number(index.tuplesFetched),
    stateOf(index),
  ];
}

function number(value: number | undefined): string {
  return value === undefined ? "-" : value.toLocaleString("en");
}

function stateOf({ valid, building, measured, tenantId, leftover, staleLists }: IndexInfo): string {
  if (building !== undefined) {
    return `${building.phase}${building.done === undefined ? "" : ` ${Math.floor(100 * building.done)} %`}`;
  }
  const notes = [
    leftover ? "left over" : valid ? "valid" : "invalid",
    tenantId !== undefined && `of tenant ${JSON.stringify(tenantId)}`,
    measured !== undefined && `${formatSetting(measured.setting)}: recall@${measured.k} ${measured.recall.toFixed(3)}`,
    staleLists !== undefined && `lists are stale, ${staleLists} wanted`,
  ];
  return notes.filter((note) => typeof note === "string").join(", ");
}

function toTable(rows: readonly (readonly string[])[]): string {
  const lines = [HEADS, ...rows];
  const widths = HEADS.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
