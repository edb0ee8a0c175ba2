import type { Command } from "commander";
import type { TenantInfo } from "../../store/tenants/list.js";
import type { CliContext } from "../context.js";
import { addTenantCommand, administer, type TenantFlags } from "./administer.js";

export function addTenantsList(tenants: Command, context: CliContext): void {
  addTenantCommand(tenants, "list", "every tenant with its state, rows and bytes; reads all rows").action(
    (flags: TenantFlags) =>
      administer(context, flags, undefined, async (admin) => {
        const list = await admin.list();
        context.out(flags.json ? JSON.stringify(list) : toTable(list));
      }),
  );
}

/** Columns of numbers, which end at the same place. */
const NUMBERS: ReadonlySet<number> = new Set([2, 3]);

function toTable(list: readonly TenantInfo[]): string {
  if (list.length === 0) return "no tenants yet";
  const lines = [
    ["tenant", "state", "rows", "MiB", "since"],
    ...list.map(({ tenantId, state, rows, bytes, createdAt }) => [
      printable(tenantId),
      state,
      rows.toLocaleString("en"),
      (bytes / 2 ** 20).toFixed(1),
      createdAt.toISOString().slice(0, 10),
    ]),
  ];
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((row) => row[column]!.length)));
  return lines
    .map((row) =>
      row
        .map((cell, column) => (NUMBERS.has(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** An id with control characters, which could move the cursor or forge a line, as a JSON string. */
function printable(tenantId: string): string {
  return /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(tenantId) ? JSON.stringify(tenantId) : tenantId;
}
