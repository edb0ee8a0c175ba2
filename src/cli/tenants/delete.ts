import type { Command } from "commander";
import { ConfigurationError } from "../../errors.js";
import type { DeletedTenant } from "../../store/tenants/delete.js";
import type { CliContext } from "../context.js";
import { atLeast } from "../flags.js";
import { addTenantCommand, administer, count, slowly, type TenantFlags } from "./administer.js";

interface DeleteFlags extends TenantFlags {
  readonly yes?: boolean;
  readonly batchRows?: number;
  readonly pauseMs?: number;
  readonly vacuum: boolean;
}

export function addTenantsDelete(tenants: Command, context: CliContext): void {
  addTenantCommand(tenants, "delete <id>", "delete a tenant and all its rows, for good")
    .option("--yes", "do not ask; needed when there is no terminal to ask on")
    .option("--batch-rows <number>", "rows of one transaction (default: 500)", atLeast(1))
    .option("--pause-ms <number>", "pause between two transactions (default: 20)", atLeast(0))
    .option("--no-vacuum", "leave the space to autovacuum, or to the next delete")
    .addHelpText(
      "after",
      `
The tenant is closed first, so nobody reads or writes it any more. When this is interrupted it stays closed: run it again
to go on.`,
    )
    .action((id: string, flags: DeleteFlags) =>
      administer(context, flags, id, async (admin) => {
        await confirm(context, id, flags);
        const progress = slowly(context);
        const deleted = await admin.delete(id, {
          batchRows: flags.batchRows,
          pauseMs: flags.pauseMs,
          vacuum: flags.vacuum,
          signal: context.signal,
          onProgress: ({ phase, message }) => (phase === "vacuuming" ? context.err(message) : progress(message)),
        });
        context.out(flags.json ? JSON.stringify(deleted) : toText(deleted, flags.vacuum));
      }),
    );
}

async function confirm(context: CliContext, id: string, { yes, json }: DeleteFlags): Promise<void> {
  if (yes) return;
  if (context.prompt === undefined || json) {
    throw new ConfigurationError(`This deletes every row of the tenant ${JSON.stringify(id)}; add --yes to say so.`);
  }
  const answer = await context.prompt(`Delete every row of this tenant? Type its id to confirm (${id}): `);
  if (answer !== id) throw new ConfigurationError("That is not the tenant's id; nothing was deleted.");
}

function toText({ deleted, notVacuumed, login }: DeletedTenant, vacuum: boolean): string {
  const lines = [`deleted ${count(deleted, "row")}; verified that none is left`];
  if (notVacuumed.length > 0) {
    const reason = vacuum ? " (this role may not, or not for so long)" : "";
    lines.push(`not vacuumed: ${notVacuumed.join(", ")}${reason}; autovacuum will make the space reusable`);
  }
  if (login?.dropped) lines.push(`dropped its login ${login.role}`);
  else if (login) lines.push(`took all rights from its login ${login.role}; whoever made the role can drop it`);
  return lines.join("\n");
}
