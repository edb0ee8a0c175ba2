import type { Command } from "commander";
import type { CliContext } from "../context.js";
import { atLeast } from "../flags.js";
import { addBuildFlags, addIndexCommand, withIndexes, type BuildFlags } from "./open.js";
import { printPlan, printProgress } from "./print.js";

interface RebuildFlags extends BuildFlags {
  readonly m?: number;
  readonly efConstruction?: number;
  readonly lists?: number;
}

export function addIndexesRebuild(indexes: Command, context: CliContext): void {
  const command = addIndexCommand(
    indexes,
    "rebuild [name]",
    "build an index anew, online; the old one serves until then",
  );
  addBuildFlags(command)
    .option("--m <number>", "hnsw: other connections of a vertex", atLeast(2))
    .option("--ef-construction <number>", "hnsw: other candidates while building", atLeast(4))
    .option("--lists <number>", "ivfflat: another number of lists", atLeast(1))
    .action((name: string | undefined, flags: RebuildFlags) =>
      withIndexes(context, flags, async (store) => {
        const { m, efConstruction, lists, memory, workers } = flags;
        const parameters = { name, m, efConstruction, lists, memory, workers };
        if (flags.plan) return printPlan(context, flags, await store.planRebuild(parameters));
        const done = await store.rebuild({
          ...parameters,
          signal: context.signal,
          onProgress: printProgress(context),
        });
        if (flags.json) return context.out(JSON.stringify(done));
        for (const left of done.cleaned) context.out(`removed ${left}`);
        context.out(`rebuilt ${done.rebuilt.join(", ")}`);
      }),
    );
}
