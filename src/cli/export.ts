import { type Command, Option } from "commander";
import { exportChroma } from "../chroma/index.js";
import { announce } from "./announce.js";
import type { CliContext } from "./context.js";
import { addJsonFlag, addTargetFlags, addTenancyFlags, atLeast } from "./flags.js";
import { addChromaFlags, chromaConnection, type ChromaFlags } from "./import/chroma.js";
import { storeArgs } from "./open-store.js";
import { withTarget, type TargetFlags, type TenancyFlags } from "./target.js";
import { count, slowly } from "./tenants/administer.js";

interface ExportChromaFlags extends TargetFlags, TenancyFlags, ChromaFlags {
  readonly existing?: "fail" | "replace";
  readonly uriKey?: string;
  readonly pageRows?: number;
  readonly json?: boolean;
}

export function addExport(program: Command, context: CliContext): void {
  const parent = program
    .command("export")
    .description("copy a store's rows with their embeddings into another vector store");
  const command = parent
    .command("chroma")
    .description("copy a store, or one collection or tenant of it, into a collection of ChromaDB")
    .argument("[name]", "its name in Chroma (default: the collection, the tenant or the table)")
    .addOption(
      new Option("--existing <what>", "a collection of that name (default: fail)").choices(["fail", "replace"]),
    )
    .option("--uri-key <key>", "metadata key that becomes the URI of a record (default: uri)")
    .option("--page-rows <number>", "records written at a time (default: 500)", atLeast(1));
  addJsonFlag(addTenancyFlags(addTargetFlags(addChromaFlags(command))))
    .addHelpText(
      "after",
      `
The collection gets its name when it is complete.

Examples:
  langchain-pgvector export chroma --collection notes
  langchain-pgvector export chroma notes-back --collection notes --url http://localhost:8000 --existing replace`,
    )
    .action((name: string | undefined, flags: ExportChromaFlags) => run(context, name, flags));
}

async function run(context: CliContext, name: string | undefined, flags: ExportChromaFlags): Promise<void> {
  await withTarget(context, flags, "never", async (target) => {
    announce(context, target, undefined, undefined, flags.tenant);
    const progress = slowly(context);
    const exported = await exportChroma({
      ...storeArgs(target, flags, context),
      chroma: chromaConnection(context, flags),
      ...(name !== undefined && { name }),
      ...(flags.existing !== undefined && { existing: flags.existing }),
      ...(flags.uriKey !== undefined && { uriKey: flags.uriKey }),
      ...(flags.pageRows !== undefined && { pageRows: flags.pageRows }),
      signal: context.signal,
      onProgress: (done) => progress(`${count(done, "record")} exported`),
    });
    context.out(
      flags.json
        ? JSON.stringify(exported)
        : `exported ${count(exported.records, "record")} as the collection ${exported.name}`,
    );
  });
}
