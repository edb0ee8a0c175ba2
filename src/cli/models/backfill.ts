import { resolve } from "node:path";
import type { Command } from "commander";
import type { ModelsStatus } from "../../models/status.js";
import type { AdoptedVector, BackfillProgress, BackfillResult } from "../../models/backfill/options.js";
import { readVectorFile } from "../../loaders/vector-files/read-vector-file.js";
import { ConfigurationError } from "../../errors.js";
import type { CliContext } from "../context.js";
import { atLeast } from "../flags.js";
import { slowly } from "../tenants/administer.js";
import { addModelsCommand, withModels, type ModelsFlags } from "./open-models.js";

interface BackfillFlags extends ModelsFlags {
  readonly version?: number;
  readonly concurrency?: number;
  readonly batchTexts?: number;
  readonly batchRows?: number;
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
  readonly tokenBudget?: number;
  readonly fullSpeed?: boolean;
  readonly retrySetAside?: boolean;
  readonly vectors?: string;
  readonly index: boolean;
  readonly indexWorkers?: number;
}

/** Fields of a file of vectors; the text of a row is the one that is stored. */
const NAMES = { id: "id", content: "content", metadata: "metadata", embedding: "embedding" };

export function addModelsBackfill(models: Command, context: CliContext): void {
  addModelsCommand(models, "backfill", "fill the missing vectors of a version and build its index, online")
    .option("--version <number>", "default: the version that is being added", atLeast(1))
    .option("--concurrency <number>", "requests in flight (default: 4)", atLeast(1))
    .option("--batch-texts <number>", "texts of one request (default: 64)", atLeast(1))
    .option("--batch-rows <number>", "rows of one transaction (default: 200)", atLeast(1))
    .option("--requests-per-minute <number>", "upper bound (default: none)", atLeast(1))
    .option("--tokens-per-minute <number>", "upper bound (default: none)", atLeast(1))
    .option("--token-budget <number>", "stop after so many; run it again to go on", atLeast(1))
    .option("--full-speed", "do not slow down where searches get slower")
    .option("--retry-set-aside", "try rows again that could not be embedded")
    .option("--vectors <file>", "take over vectors of a JSONL, CSV, Parquet or NPY file instead of embedding")
    .option("--no-index", "leave the index for later")
    .option("--index-workers <number>", "parallel workers of the index build (default: 0)", atLeast(0))
    .option("--plan", "print what is missing, and change nothing")
    .addHelpText("after", "\nMay run several times at once, on several machines. Interrupted, run it again to go on.")
    .action((flags: BackfillFlags) =>
      withModels(context, flags, async (admin) => {
        if (flags.plan) return printPlan(context, flags, await admin.status());
        const say = slowly(context);
        const result = await admin.backfill({
          version: flags.version,
          concurrency: flags.concurrency,
          batchTexts: flags.batchTexts,
          batchRows: flags.batchRows,
          requestsPerMinute: flags.requestsPerMinute,
          tokensPerMinute: flags.tokensPerMinute,
          tokenBudget: flags.tokenBudget,
          ...(flags.fullSpeed && { maxSlowdown: false as const }),
          retrySetAside: flags.retrySetAside,
          vectors: flags.vectors === undefined ? undefined : vectorsOf(resolve(context.cwd, flags.vectors)),
          index: flags.index,
          indexWorkers: flags.indexWorkers,
          signal: context.signal,
          onProgress: (progress) => say(progressText(progress)),
        });
        context.out(flags.json ? JSON.stringify(result) : resultText(result));
      }),
    );
}

function printPlan(context: CliContext, { json, version }: BackfillFlags, status: ModelsStatus): void {
  const wanted = status.versions.filter((one) => version === undefined || one.version === version);
  if (json) return context.out(JSON.stringify(wanted));
  context.out(
    wanted.map((one) => `version ${one.version} (${one.state}): ${one.missing} of ${one.rows} rows to fill`).join("\n"),
  );
}

async function* vectorsOf(file: string): AsyncGenerator<AdoptedVector> {
  for await (const item of await readVectorFile(file, { fields: NAMES, documents: undefined })) {
    if (item instanceof Error) throw item;
    if (!("document" in item) || item.document.id === undefined) {
      throw new ConfigurationError(
        `${file} holds a row without an id or an embedding; each vector needs the id of its row.`,
      );
    }
    yield { id: item.document.id, embedding: item.embedding };
  }
}

function progressText({
  phase,
  filled,
  total,
  setAside,
  rowsPerSecond,
  remainingMs,
  reason,
}: BackfillProgress): string {
  const left = remainingMs === undefined ? "" : `, about ${Math.ceil(remainingMs / 1_000)} s left`;
  const aside = setAside === 0 ? "" : `, ${setAside} set aside`;
  return `${phase}${reason === undefined ? "" : ` (${reason})`}: ${filled} of ${total}, ${rowsPerSecond.toFixed(0)} rows/s${left}${aside}`;
}

function resultText(result: BackfillResult): string {
  const { version, filled, missing, setAsideCount, hotRatio, seconds, indexed, state } = result;
  return [
    `version ${version} is ${state}: filled ${filled} rows in ${seconds.toFixed(1)} s, ${missing} missing, ` +
      `${(hotRatio * 100).toFixed(1)} % in place, ${indexed ? "indexed" : "no index"}`,
    ...(setAsideCount === 0 ? [] : [`set aside ${setAsideCount}:`]),
    ...result.setAside.map(({ tenant, collection, id, reason }) => `  ${tenant} ${collection} ${id}: ${reason}`),
  ].join("\n");
}
