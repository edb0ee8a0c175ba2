import { type Command, Option } from "commander";
import type { ImportArgs, ImportInto } from "../../chroma/index.js";
import { ConfigurationError } from "../../errors.js";
import type { CliContext } from "../context.js";
import { addJsonFlag, addTargetFlags, addTenancyFlags, atLeast } from "../flags.js";
import { storeArgs } from "../open-store.js";
import { recordedModel } from "../recorded-model.js";
import type { Target, TargetFlags, TenancyFlags } from "../target.js";
import { count, slowly } from "../tenants/administer.js";

/** The flags that imports from all kinds of sources share. */
export interface ImportFlags extends TargetFlags, TenancyFlags {
  readonly into?: ImportInto;
  readonly collectionKey?: string;
  readonly uriKey?: string;
  readonly existing?: "fail" | "merge" | "replace";
  readonly missingDocuments?: "fail" | "empty" | "skip";
  readonly rejected?: "fail" | "skip";
  readonly pageRows?: number;
  readonly embeddings?: string;
  readonly verify: boolean;
  readonly restart?: boolean;
  readonly plan?: boolean;
  readonly json?: boolean;
}

export function addImportFlags(command: Command): Command {
  const withChoices = command
    .addOption(
      new Option("--into <what>", "what each collection becomes (default: collection)").choices([
        "collection",
        "table",
        "tenant",
        "metadata",
      ]),
    )
    .option("--collection-key <key>", "metadata key of its name, with --into metadata (default: collection)")
    .option("--uri-key <key>", "metadata key for URIs (default: uri)")
    .addOption(
      new Option("--existing <what>", "rows that are in its place (default: fail)").choices([
        "fail",
        "merge",
        "replace",
      ]),
    )
    .addOption(
      new Option("--missing-documents <what>", "records without a document (default: fail)").choices([
        "fail",
        "empty",
        "skip",
      ]),
    )
    .addOption(
      new Option("--rejected <what>", "records that cannot be stored (default: fail)").choices(["fail", "skip"]),
    )
    .option("--page-rows <number>", "records read and stored at a time (default: 500)", atLeast(1))
    .option("--embeddings <model>", "embedder that made the vectors, to be recorded, such as openai:<model>")
    .option("--no-verify", "do not read and compare everything again")
    .option("--restart", "forget what an interrupted run has copied")
    .option("--plan", "say what would be done and change nothing");
  return addJsonFlag(addTenancyFlags(addTargetFlags(withChoices)));
}

/** The arguments of an import that the flags stand for, progress on stderr included. */
export function importArgs(
  context: CliContext,
  target: Target,
  flags: ImportFlags,
  collections: readonly string[],
): ImportArgs {
  if (flags.collection !== undefined) {
    throw new ConfigurationError("Name the collections to import as arguments, without --collection.");
  }
  const { into, collectionKey, uriKey, existing, missingDocuments, rejected, pageRows } = flags;
  const progress = slowly(context);
  return {
    ...storeArgs(target, flags, context),
    ...(collections.length > 0 && { collections }),
    ...(into !== undefined && { into }),
    ...(collectionKey !== undefined && { collectionKey }),
    ...(uriKey !== undefined && { uriKey }),
    ...(existing !== undefined && { existing }),
    ...(missingDocuments !== undefined && { missingDocuments }),
    ...(rejected !== undefined && { rejected }),
    ...(pageRows !== undefined && { pageRows }),
    ...(flags.embeddings !== undefined && recordedModel(flags.embeddings)),
    verify: flags.verify,
    restart: flags.restart ?? false,
    signal: context.signal,
    onProgress: ({ collection, phase, done, total }) => {
      const of = total === undefined ? "" : ` of ${total.toLocaleString("en")}`;
      if (phase === "publish") context.err(`${collection}: ${count(done, "record")} visible`);
      else progress(`${collection}: ${phase === "copy" ? "copied" : "compared"} ${done.toLocaleString("en")}${of}`);
    },
  };
}
