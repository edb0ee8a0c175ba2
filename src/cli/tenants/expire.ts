import { InvalidArgumentError, type Command } from "commander";
import type { Filter } from "../../store/filter/index.js";
import type { CliContext } from "../context.js";
import { addFilterFlag, atLeast } from "../flags.js";
import { addTenantCommand, administer, count, slowly, type TenantFlags } from "./administer.js";

interface ExpireFlags extends TenantFlags {
  readonly tenant?: string;
  readonly olderThan?: number;
  readonly before?: Date;
  readonly filter?: Filter;
  readonly includeSuspended?: boolean;
  readonly batchRows?: number;
  readonly pauseMs?: number;
}

export function addTenantsExpire(tenants: Command, context: CliContext): void {
  const command = addTenantCommand(tenants, "expire", "delete chunks by age or metadata, of all tenants or of one")
    .option("--tenant <id>", "of this tenant only (default: all active ones)")
    .option("--older-than <age>", "first stored longer ago than this: 90d, 12h, 30m or 45s", age)
    .option("--before <date>", "first stored before this, such as 2026-01-31 or 2026-01-31T12:00:00Z", date)
    .option("--include-suspended", "suspended tenants too")
    .option("--batch-rows <number>", "rows of one transaction (default: 500)", atLeast(1))
    .option("--pause-ms <number>", "pause between two transactions (default: 20)", atLeast(0));
  addFilterFlag(command).action((flags: ExpireFlags) =>
    administer(context, flags, flags.tenant, async (admin) => {
      const progress = slowly(context);
      const deleted = await admin.expire({
        tenantId: flags.tenant,
        olderThanMs: flags.olderThan,
        before: flags.before,
        filter: flags.filter,
        includeSuspended: flags.includeSuspended,
        batchRows: flags.batchRows,
        pauseMs: flags.pauseMs,
        signal: context.signal,
        onProgress: (tenant, rows) => progress(`${count(rows, "chunk")} deleted, now of ${JSON.stringify(tenant)}`),
      });
      context.out(flags.json ? JSON.stringify({ deleted }) : `deleted ${count(deleted, "chunk")}`);
    }),
  );
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function age(text: string): number {
  const [, number, unit] = /^(\d+)([smhd])$/.exec(text.trim()) ?? [];
  if (number === undefined || unit === undefined) throw new InvalidArgumentError("Write it like 90d, 12h, 30m or 45s.");
  return Number(number) * UNITS[unit]!;
}

function date(text: string): Date {
  const value = new Date(text);
  if (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(value.getTime())) return value;
  throw new InvalidArgumentError("Write it like 2026-01-31 or 2026-01-31T12:00:00Z.");
}
