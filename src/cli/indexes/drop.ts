import type { Command } from "commander";
import type { CliContext } from "../context.js";
import { addIndexCommand, withIndexes, type IndexFlags } from "./open.js";
import { printPlan } from "./print.js";

export function addIndexesDrop(indexes: Command, context: CliContext): void {
  addIndexCommand(indexes, "drop <name>", "drop an index, online")
    .option("--plan", "print the SQL, and change nothing")
    .action((name: string, flags: IndexFlags & { readonly plan?: boolean }) =>
      withIndexes(context, flags, async (store) => {
        if (flags.plan) return printPlan(context, flags, await store.planDrop(name));
        await store.drop(name, { signal: context.signal });
        context.out(flags.json ? JSON.stringify({ dropped: name }) : `dropped ${name}`);
      }),
    );
}
