import { type Command, Option } from "commander";
import { createEmbeddings } from "../../embeddings/create.js";
import type { AddModelOptions, AddModelPlan } from "../../models/add.js";
import type { ModelInfo } from "../../models/status.js";
import type { Metric, Quantization, StorageType } from "../../schema/layout.js";
import type { CliContext } from "../context.js";
import { addDistanceFlag, atLeast, withPatience } from "../flags.js";
import { STORAGE_TYPES } from "../../store/storage.js";
import { resolveEmbeddings } from "../model-options.js";
import { addModelsCommand, withModels, type ModelsFlags } from "./open-models.js";

interface AddFlags extends ModelsFlags {
  readonly from?: number;
  readonly dimensions?: number;
  readonly distance?: Metric;
  readonly storage?: StorageType;
  readonly quantization?: Quantization;
  readonly documentPrefix?: string;
  readonly queryPrefix?: string;
  readonly revision?: string;
  readonly price?: number;
}

export function addModelsAdd(models: Command, context: CliContext): void {
  const command = addModelsCommand(models, "add", "add a model version, which is written to from then on")
    .option("--from <version>", "make its vectors from those of a version, without embedding", atLeast(1))
    .option("--dimensions <number>", "dimensions, where the model or --from can shorten", atLeast(1))
    .addOption(new Option("--storage <type>", "type of the column").choices(STORAGE_TYPES))
    .addOption(new Option("--quantization <kind>", "index of signs, ranked again").choices(["none", "binary"]))
    .option("--document-prefix <text>", "put in front of documents")
    .option("--query-prefix <text>", "put in front of queries")
    .option("--revision <name>", "tells two revisions of one model apart")
    .option("--price <number>", "of a million tokens, for the estimate", Number)
    .option("--plan", "print what it takes and the SQL, and change nothing");
  addDistanceFlag(command).action((flags: AddFlags) =>
    withModels(context, flags, async (admin) => {
      const options = await toOptions(context, flags);
      const plan = await admin.planAdd(options);
      if (flags.plan) {
        const { probe: _, ...version } = plan.version;
        if (flags.json) return context.out(JSON.stringify({ ...plan, version }));
        return context.out([sizingText(plan), ...plan.steps.map(({ name, sql }) => `-- ${name}\n${sql}`)].join("\n"));
      }
      context.err(sizingText(plan));
      const added = await admin.add(options);
      context.out(flags.json ? JSON.stringify(added) : addedText(added));
    }),
  );
}

async function toOptions(context: CliContext, flags: AddFlags): Promise<AddModelOptions> {
  const { from, dimensions, distance, storage, quantization, documentPrefix, queryPrefix, revision, price } = flags;
  const shared = {
    metric: distance,
    storageType: storage,
    quantization,
    documentPrefix,
    queryPrefix,
    revision,
    pricePerMillionTokens: price,
  };
  if (from !== undefined) return { ...shared, from, dimensions };
  const { spec } = resolveEmbeddings(flags, context.env);
  const asked = withPatience({ ...spec, ...(dimensions !== undefined && { dimensions }) }, flags);
  return { ...shared, embeddings: await createEmbeddings(asked), provider: spec.provider };
}

function sizingText({ version, sizing }: AddModelPlan): string {
  const { rows, tokens, price, seconds, diskBytes, indexBytes, ramBytes } = sizing;
  return [
    `-- version ${version.version}: ${version.fingerprint}, ${version.metric}, ${version.storageType}(${version.dimensions})` +
      (version.quantization === "none" ? "" : ", indexed by its signs"),
    `-- ${rows.toLocaleString("en")} rows, about ${tokens.toLocaleString("en")} tokens` +
      (price === undefined ? "" : `, price ${price.toFixed(2)}`) +
      (seconds === undefined ? ", nothing to embed" : `, about ${Math.ceil(seconds)} s of embedding`),
    `-- disk ${mebibytes(diskBytes)} and ${mebibytes(indexBytes)} of index, ${mebibytes(ramBytes)} of memory to build it`,
  ].join("\n");
}

function addedText({ version, fingerprint }: ModelInfo): string {
  return (
    `version ${version} is ${fingerprint}\n` +
    `give processes its embedder: embedders: { ${JSON.stringify(fingerprint)}: ... }\n` +
    "then run: langchain-pgvector models backfill"
  );
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
