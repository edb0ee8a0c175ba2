import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { ConfigurationError } from "../../errors.js";
import { createEmbeddings } from "../../embeddings/create.js";
import { evaluateRetrieval } from "../../ops/eval/evaluate.js";
import { fitFusionWeights } from "../../ops/eval/fit-weights.js";
import { readLabelledSet, type LabelledSet } from "../../ops/eval/labelled-set.js";
import { toMarkdown, type EvalRun } from "../../ops/eval/report.js";
import { toHtml } from "../../ops/eval/report-html.js";
import type { FusionWeights } from "../../store/fusion/fusion.js";
import type { PostgresVectorStore } from "../../store/postgres-vector-store.js";
import { announce } from "../announce.js";
import type { CliContext } from "../context.js";
import { describeModel } from "../describe-model.js";
import {
  addEmbeddingFlags,
  addFilterFlag,
  addJsonFlag,
  addModeFlag,
  addTargetFlags,
  addTenancyFlags,
  atLeast,
  dashed,
  withPatience,
  type PatienceFlags,
} from "../flags.js";
import { resolveEmbeddings, type ModelFlags } from "../model-options.js";
import { openCliStore } from "../open-store.js";
import { withTarget, type Target, type TargetFlags, type TenancyFlags } from "../target.js";
import { slowly } from "../tenants/administer.js";
import { evalAnswers, type AnswerEvalFlags } from "./answers.js";
import { inMemory } from "./in-memory.js";
import { evalModes, MODE_NAMES, type ModeFlags } from "./modes.js";
import { readReadyVectors } from "./ready-vectors.js";
import { withTemporaryStore } from "./temporary-store.js";

interface EvalFlags extends TargetFlags, TenancyFlags, ModelFlags, PatienceFlags, ModeFlags {
  readonly split?: string;
  readonly modes?: readonly string[];
  readonly k: number;
  readonly existing?: boolean;
  readonly idKey?: string;
  readonly chunkSize?: number;
  readonly vectors?: string;
  readonly queryVectors?: string;
  readonly language?: string;
  readonly fit?: boolean;
  readonly out?: string;
  readonly seed?: number;
  readonly resamples?: number;
  readonly json?: boolean;
}

export function addEval(program: Command, context: CliContext): void {
  const command = program
    .command("eval")
    .description("measure ways to search by questions whose relevant documents are known")
    .argument("<set>", "folder in BEIR's layout, or .jsonl file of { question, relevant }")
    .option("--split <name>", "judgements of a folder, qrels/<name>.tsv (default: test, or the only ones)")
    .option("--modes <names>", `any of ${MODE_NAMES.join(", ")} (default: the first three)`, list)
    .addOption(
      new Option("--base <mode>", "what rerank, mmr, neighbours and parents work on (default: hybrid)").choices([
        "similarity",
        "lexical",
        "hybrid",
      ]),
    )
    .option("-k <number>", "results that are looked at", atLeast(1), 10)
    .option(
      "--fetch-k <number>",
      "candidates of rerank, mmr, neighbours, parents (default: 4 k, at least 20)",
      atLeast(1),
    )
    .option("--weights <dense:lexical>", "of hybrid searches, such as 0.3:0.7 (default: the store's)", weights)
    .addOption(
      new Option("--fusion <kind>", "of hybrid searches (default: relativeScore)").choices([
        "relativeScore",
        "rrf",
        "distribution",
      ]),
    )
    .option("--lambda <number>", "of mmr, 1 for relevance to 0 for diversity (default: 0.7)", Number)
    .option("--fit", "fit the weights of hybrid searches on every second question, report them on the others")
    .option("--existing", "search the store of --table as it is, rather than one made of the set's documents")
    .option("--id-key <key>", "with --existing: metadata key that relevant ids refer to (default: the chunk's id)")
    .option("--chunk-size <characters>", "split the set's documents into chunks (default: whole)", atLeast(2))
    .option("--language <name>", "language of the set's documents (default: english)")
    .option("--vectors <file>", "ready vectors of the documents, float32 in the order of corpus.jsonl")
    .option("--query-vectors <file>", "ready vectors of the questions, float32 in the order of queries.jsonl")
    .option("--out <folder>", "write eval.json, eval.md and eval.html there")
    .option("--seed <number>", "of the random draws (default: 1)", atLeast(0))
    .option("--resamples <number>", "random draws (default: 10000)", atLeast(100))
    .option(
      "--answers",
      "ask the store the questions of a .jsonl file of { question, answers } and compare its answers",
    )
    .option("--chat-model <model>", "with --answers: provider:model that answers; none quotes the chunks")
    .option("--judge <model>", "with --answers: provider:model that grades each answer");
  addJsonFlag(addEmbeddingFlags(addTenancyFlags(addTargetFlags(addFilterFlag(addModeFlag(command))))))
    .addHelpText(
      "after",
      `
The set's documents go into a schema that is dropped at the end: of the database that is named, else in memory.

Examples:
  langchain-pgvector eval ./beir/scifact --split test --out report
  langchain-pgvector eval ./beir/scifact --modes hybrid,rerank,mmr,neighbours,parents --chunk-size 400
  langchain-pgvector eval questions.jsonl --existing --table articles --id-key source --fit
  langchain-pgvector eval questions.jsonl --answers --mode hybrid --judge openai:gpt-4o-mini`,
    )
    .action((path: string, flags: EvalFlags & AnswerEvalFlags & { answers?: boolean }) =>
      flags.answers === true ? evalAnswers(context, path, flags) : evaluate(context, path, flags),
    );
}

async function evaluate(context: CliContext, path: string, flags: EvalFlags): Promise<void> {
  checkFlags(flags);
  const modes = evalModes(flags.modes ?? ["similarity", "lexical", "hybrid"], flags);
  const set = await readLabelledSet(resolve(context.cwd, path), flags.split);
  const idKey = flags.existing === true ? flags.idKey : "source";
  const { signal } = context;
  const progress = slowly(context);
  const measure = async (store: PostgresVectorStore, facts: EvalRun["facts"]): Promise<EvalRun> => {
    const shared = {
      k: flags.k,
      signal,
      ...(flags.seed !== undefined && { seed: flags.seed }),
      ...(flags.resamples !== undefined && { resamples: flags.resamples }),
      ...(idKey !== undefined && { idOf: (document: { metadata: Record<string, unknown> }) => idAt(document, idKey) }),
    };
    const report = await evaluateRetrieval(store, set.questions, {
      ...shared,
      modes,
      onProgress: ({ mode, done, of }) => progress(`${mode}: ${done} of ${of} questions`),
    });
    if (flags.fit !== true) return { set: set.name, facts, report };
    const { fusion, filter } = flags;
    const fitted = await fitFusionWeights(store, set.questions, {
      ...shared,
      fusion,
      filter,
      onProgress: ({ done, of }) => progress(`fitting weights: ${done} of ${of} questions`),
    });
    return { set: set.name, facts, report, fitted };
  };
  const run =
    flags.existing === true ? await onStore(context, flags, measure) : await onSet(context, set, flags, measure);
  if (flags.out !== undefined) await writeReports(resolve(context.cwd, flags.out), run);
  context.out(flags.json === true ? JSON.stringify(run) : toMarkdown(run).trimEnd());
}

type Measure = (store: PostgresVectorStore, facts: EvalRun["facts"]) => Promise<EvalRun>;

function onStore(context: CliContext, flags: EvalFlags, measure: Measure): Promise<EvalRun> {
  return withTarget(context, flags, "open", async (target) => {
    const store = await openCliStore(context, target, flags, { create: false });
    return measure(store, { store: `${flags.table ?? "langchain_chunks"} in ${target.label}` });
  });
}

async function onSet(context: CliContext, set: LabelledSet, flags: EvalFlags, measure: Measure): Promise<EvalRun> {
  const { documents } = set;
  if (documents === undefined) {
    throw new ConfigurationError(
      "The set brings no documents along (corpus.jsonl); measure a store that has them, with --existing and --table.",
    );
  }
  const { spec } = resolveEmbeddings(flags, context.env);
  const at = (path: string): string => resolve(context.cwd, path);
  const ready =
    flags.vectors === undefined
      ? undefined
      : await readReadyVectors(set, { documents: at(flags.vectors), queries: at(flags.queryVectors!) });
  const embeddings = ready?.embeddings ?? (await createEmbeddings(withPatience(spec, flags)));
  const progress = slowly(context);
  const onTarget = (target: Target): Promise<EvalRun> => {
    announce(context, target, ready === undefined ? spec : undefined);
    return withTemporaryStore(
      target,
      documents,
      {
        embeddings,
        dimensions: ready?.dimensions,
        language: flags.language,
        chunkSize: flags.chunkSize,
        vectors: ready?.documents,
        signal: context.signal,
        onProgress: (rows) => progress(`${rows} chunks stored`),
      },
      (store, chunks) =>
        measure(store, {
          documents: documents.length,
          chunks:
            flags.chunkSize === undefined
              ? `${chunks}, whole documents`
              : `${chunks} of up to ${flags.chunkSize} characters`,
          embedder: ready === undefined ? describeModel(spec) : `ready vectors of ${ready.dimensions} dimensions`,
          database: target.label,
        }),
    );
  };
  const named = flags.databaseUrl ?? context.env["DATABASE_URL"]?.trim();
  return named ? withTarget(context, flags, "never", onTarget) : inMemory(onTarget);
}

function checkFlags(flags: EvalFlags): void {
  if ((flags.vectors === undefined) !== (flags.queryVectors === undefined)) {
    throw new ConfigurationError("--vectors and --query-vectors go together: the documents' and the questions'.");
  }
  if (flags.vectors !== undefined && (flags.chunkSize !== undefined || flags.existing === true)) {
    throw new ConfigurationError("--vectors are those of whole documents; leave out --chunk-size and --existing.");
  }
  for (const name of flags.existing === true ? OF_THE_SET : OF_A_STORE) {
    if (flags[name] === undefined) continue;
    throw new ConfigurationError(
      flags.existing === true
        ? `--existing searches a store as it is; leave out --${dashed(name)}.`
        : `--${dashed(name)} says which store; it goes with --existing.`,
    );
  }
}

/** Flags about the store that is made of the set's documents, and about one that is there. */
const OF_THE_SET = ["chunkSize", "language"] as const;
const OF_A_STORE = [
  "idKey",
  "table",
  "schema",
  "columns",
  "collection",
  "collectionTable",
  "tenant",
  "tenancy",
  "appRole",
] as const;

async function writeReports(folder: string, run: EvalRun): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "eval.json"), `${JSON.stringify(run, undefined, 1)}\n`);
  await writeFile(join(folder, "eval.md"), toMarkdown(run));
  await writeFile(join(folder, "eval.html"), toHtml(run));
}

function idAt({ metadata }: { metadata: Record<string, unknown> }, key: string): string | undefined {
  const value = key
    .split(".")
    .reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], metadata);
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}

function list(text: string): readonly string[] {
  return text.split(",").map((name) => name.trim());
}

function weights(text: string): FusionWeights {
  const [, dense, lexical] = /^([\d.]+):([\d.]+)$/.exec(text) ?? [];
  if (dense === undefined || lexical === undefined) throw new InvalidArgumentError("Write it like 0.3:0.7.");
  return { dense: Number(dense), lexical: Number(lexical) };
}
