import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { quoteIdentifier } from "../../db/identifiers.js";
import { ConfigurationError } from "../../errors.js";
import type { TenantAdmin } from "../../store/tenants/admin.js";
import type { LoginPlan } from "../../store/tenants/login.js";
import type { CliContext } from "../context.js";
import { addTenantCommand, administer, type TenantFlags } from "./administer.js";

interface LoginFlags extends TenantFlags {
  readonly role?: string;
  readonly passwordFile?: string;
  readonly drop?: boolean;
  readonly plan?: boolean;
}

export function addTenantsLogin(tenants: Command, context: CliContext): void {
  addTenantCommand(tenants, "login <id>", "give a tenant a login role that the database holds to that tenant")
    .option("--role <name>", "a role that is there, or the name of the new one (default: made from store and tenant)")
    .option("--password-file <file>", "file with the password; only what Postgres stores of it is sent")
    .option("--drop", "take the login away instead")
    .option("--plan", "print the SQL and change nothing")
    .addHelpText(
      "after",
      `
Making a role needs CREATEROLE. Without it, let an administrator create the role, and name it with --role. Run this again
after the store got new tables.`,
    )
    .action((id: string, flags: LoginFlags) =>
      administer(context, flags, id, (admin) => (flags.drop ? dropLogin : createLogin)(context, admin, id, flags)),
    );
}

async function createLogin(context: CliContext, admin: TenantAdmin, id: string, flags: LoginFlags): Promise<void> {
  const { role } = flags;
  if (flags.plan) return printPlan(context, await admin.planLogin(id, { role }), flags);
  const password = flags.passwordFile === undefined ? undefined : await readPassword(context, flags.passwordFile);
  const made = await admin.login(id, { role, password });
  context.out(flags.json ? JSON.stringify({ tenantId: id, role: made }) : made);
  if (password === undefined)
    context.err(`It has no new password; set one in psql: \\password ${quoteIdentifier(made)}`);
}

async function dropLogin(context: CliContext, admin: TenantAdmin, id: string, flags: LoginFlags): Promise<void> {
  if (flags.plan) return printPlan(context, await admin.planDropLogin(id), flags);
  const login = await admin.dropLogin(id);
  if (flags.json) context.out(JSON.stringify({ tenantId: id, login: login ?? null }));
  else if (login === undefined) context.out("the tenant has no login");
  else
    context.out(login.dropped ? `dropped ${login.role}` : `took all rights from ${login.role}; the role itself stays`);
}

function printPlan(context: CliContext, plan: LoginPlan | undefined, flags: LoginFlags): void {
  const steps = plan?.steps ?? [];
  if (flags.json) context.out(JSON.stringify({ role: plan?.role ?? null, steps }));
  else context.out(steps.map((step) => `-- ${step.name}\n${step.sql}`).join("\n") || "-- nothing to do");
}

async function readPassword(context: CliContext, path: string): Promise<string> {
  const text = await readFile(resolve(context.cwd, path), "utf8").catch((cause: Error) => {
    throw new ConfigurationError(`${path} cannot be read: ${cause.message}.`, { cause });
  });
  return text.replace(/\r?\n$/, "");
}
