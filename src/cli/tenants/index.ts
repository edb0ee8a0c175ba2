import type { Command } from "commander";
import type { CliContext } from "../context.js";
import { addTenantsDelete } from "./delete.js";
import { addTenantsExpire } from "./expire.js";
import { addTenantsList } from "./list.js";
import { addTenantsLogin } from "./login.js";
import { addTenantsPartition } from "./partition.js";
import { addTenantsState } from "./state.js";
import { addTenantsTransfer } from "./transfer.js";

export function addTenants(program: Command, context: CliContext): void {
  const tenants = program
    .command("tenants")
    .description(
      "list, create, suspend, resume, delete, export, import, expire, isolate and merge the tenants of a store",
    )
    .addHelpText(
      "after",
      `
For the role that made the store. The tables stay open to all other tenants meanwhile.

Examples:
  langchain-pgvector tenants list --database-url postgres://owner@localhost/rag
  langchain-pgvector tenants suspend acme
  langchain-pgvector tenants export acme --out acme.jsonl
  langchain-pgvector tenants delete acme --yes
  langchain-pgvector tenants import acme acme.jsonl
  langchain-pgvector tenants login acme --plan
  langchain-pgvector tenants expire --older-than 90d
  langchain-pgvector tenants isolate acme --plan`,
    );
  addTenantsList(tenants, context);
  addTenantsState(tenants, context);
  addTenantsDelete(tenants, context);
  addTenantsTransfer(tenants, context);
  addTenantsLogin(tenants, context);
  addTenantsExpire(tenants, context);
  addTenantsPartition(tenants, context);
}
