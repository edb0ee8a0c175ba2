import { Option, type Command } from "commander";
import type { CreateIndexOptions } from "../../ops/indexes/create.js";
import { ConfigurationError } from "../../errors.js";
import type { CliContext } from "../context.js";
import { atLeast, share } from "../flags.js";
import { addBuildFlags, addIndexCommand, withIndexes, type BuildFlags } from "./open.js";
import { printPlan, printProgress } from "./print.js";

interface CreateFlags extends BuildFlags {
  readonly type: "hnsw" | "ivfflat" | "btree" | "gin";
  readonly namespace?: string;
  readonly tenant?: string;
  readonly key?: string;
  readonly m?: number;
  readonly efConstruction?: number;
  readonly lists?: number;
  readonly targetRecall?: number;
  readonly measure: boolean;
  readonly concurrently: boolean;
}

export function addIndexesCreate(indexes: Command, context: CliContext): void {
  const command = addIndexCommand(
    indexes,
    "create",
    "build an index online, or repair one whose build was interrupted",
  );
  addBuildFlags(command)
    .addOption(
      new Option("--type <type>", "hnsw and ivfflat for searches, btree for a promoted key, gin for the other metadata")
        .choices(["hnsw", "ivfflat", "btree", "gin"])
        .default("hnsw"),
    )
    .option("--m <number>", "hnsw: connections of a vertex (default: by rows and memory, mostly 16)", atLeast(2))
    .option("--ef-construction <number>", "hnsw: candidates while building (default: mostly 128)", atLeast(4))
    .option("--lists <number>", "ivfflat: lists (default: a thousandth of the rows)", atLeast(1))
    .option("--key <key>", "btree: the promoted metadata key")
    .option("--tenant <id>", "hnsw, ivfflat: the rows of this tenant alone")
    .option("--namespace <text>", "put in front of the index's name, for a second one")
    .option("--target-recall <share>", "recall@10 that searches are to reach (default: 0.99)", share)
    .option("--no-measure", "do not measure what searches need")
    .option("--no-concurrently", "build faster, and block writes meanwhile")
    .action((flags: CreateFlags) =>
      withIndexes(context, flags, async (store) => {
        const options = toOptions(flags, context);
        if (flags.plan) return printPlan(context, flags, await store.planCreate(options));
        const created = await store.create(options);
        if (flags.json) return context.out(JSON.stringify(created));
        context.out(
          created.built.length === 0 ? `${created.name} is there already` : `built ${created.built.join(", ")}`,
        );
      }),
    );
}

function toOptions(flags: CreateFlags, context: CliContext): CreateIndexOptions {
  const { type, namespace, memory, workers, concurrently, m, efConstruction, lists, tenant, key } = flags;
  const build = {
    namespace,
    memory,
    workers,
    concurrently,
    signal: context.signal,
    onProgress: printProgress(context),
  };
  refuseForeign(flags);
  if (type === "gin") return { type, ...build };
  if (type === "btree") {
    if (key === undefined) throw new ConfigurationError("Say which promoted key: --key year.");
    return { type, key, ...build };
  }
  const vector = { ...build, tenantId: tenant, targetRecall: flags.measure ? flags.targetRecall : (false as const) };
  if (type === "ivfflat") return { type, ...vector, ...(lists !== undefined && { lists }) };
  return { type, ...vector, ...(m !== undefined && { m }), ...(efConstruction !== undefined && { efConstruction }) };
}

const FLAGS_OF = {
  hnsw: ["m", "efConstruction", "tenant", "targetRecall"],
  ivfflat: ["lists", "tenant", "targetRecall"],
  btree: ["key"],
  gin: [],
} as const;

/** A flag of another type would be dropped without a word. */
function refuseForeign(flags: CreateFlags): void {
  const own: readonly string[] = FLAGS_OF[flags.type];
  const known = [...new Set<keyof CreateFlags>(Object.values(FLAGS_OF).flat())];
  const foreign = known.find((name) => flags[name] !== undefined && !own.includes(name));
  if (foreign === undefined) return;
  throw new ConfigurationError(
    `An index of type ${flags.type} has no ${foreign}; leave it out, or say another --type.`,
  );
}
