import type { Command } from "commander";
import type { CliContext } from "../context.js";
import { addTenantCommand, administer, type TenantFlags } from "./administer.js";

/** `create`, `suspend` and `resume`. */
export function addTenantsState(tenants: Command, context: CliContext): void {
  addTenantCommand(tenants, "create <id>", "list a tenant before its first write").action(
    (id: string, flags: TenantFlags) =>
      administer(context, flags, id, async (admin) => {
        const created = await admin.create(id);
        const text = created ? "created" : "was there already";
        context.out(flags.json ? JSON.stringify({ tenantId: id, created }) : text);
      }),
  );
  const changes = [
    ["suspend", "close a tenant in the database: it reads and writes nothing, its rows stay", "suspended"],
    ["resume", "open a suspended tenant again", "active"],
  ] as const;
  for (const [verb, description, state] of changes) {
    addTenantCommand(tenants, `${verb} <id>`, description).action((id: string, flags: TenantFlags) =>
      administer(context, flags, id, async (admin) => {
        await admin[verb](id);
        context.out(flags.json ? JSON.stringify({ tenantId: id, state }) : state);
      }),
    );
  }
}
