import { resolve } from "node:path";
import { createRagChain } from "../../chains/index.js";
import { judgeBy } from "../../ops/eval/answer-judge.js";
import { readAnswerSet } from "../../ops/eval/answer-set.js";
import { evaluateAnswers, type AnswerReport } from "../../ops/eval/evaluate-answers.js";
import type { Filter } from "../../store/filter/index.js";
import type { SearchType } from "../../store/options.js";
import { openChatModel } from "../chat-model.js";
import type { CliContext } from "../context.js";
import type { PatienceFlags } from "../flags.js";
import { resolveChatModel, type ModelFlags } from "../model-options.js";
import { openCliStore } from "../open-store.js";
import { withTarget, type TargetFlags, type TenancyFlags } from "../target.js";
import { slowly } from "../tenants/administer.js";

export interface AnswerEvalFlags extends TargetFlags, TenancyFlags, ModelFlags, PatienceFlags {
  readonly k: number;
  readonly mode?: SearchType;
  readonly filter?: Filter;
  readonly judge?: string;
  readonly tokenBudget?: number;
  readonly json?: boolean;
}

const FIGURES: readonly (readonly [keyof AnswerReport, string])[] = [
  ["answered", "answerable questions that were answered"],
  ["abstained", "unanswerable questions that were not"],
  ["exactMatch", "exact match"],
  ["f1", "F1 of the words"],
  ["holdsAnswer", "answers that hold a gold answer"],
  ["firstQuoteHoldsAnswer", "first quotes that hold a gold answer"],
  ["citationPrecision", "citations of a document that holds the answer"],
  ["judged", "mean verdict of the judge"],
];

/** Asks every question of a file and compares the answers with the gold ones. */
export async function evalAnswers(context: CliContext, path: string, flags: AnswerEvalFlags): Promise<void> {
  const questions = await readAnswerSet(resolve(context.cwd, path));
  const chat = resolveChatModel(flags, context.env);
  const { signal } = context;
  const progress = slowly(context);
  await withTarget(context, flags, "open", async (target) => {
    const store = await openCliStore(context, target, flags, { create: false, chat });
    const { model, explain } = await openChatModel(chat, flags);
    const judge =
      flags.judge === undefined
        ? undefined
        : await openChatModel(resolveChatModel({ ...flags, chatModel: flags.judge }, context.env), flags);
    const chain = createRagChain({
      retriever: store.asRetriever({ k: flags.k, filter: flags.filter, ...(flags.mode && { searchType: flags.mode }) }),
      ...(model && { model }),
    });
    const report = await evaluateAnswers(questions, (input) => chain.invoke({ input }, { signal }), {
      signal,
      judge: judge?.model && judgeBy(judge.model),
      onProgress: (done) => progress(`${done} of ${questions.length} questions`),
    }).catch(explain);
    context.out(flags.json === true ? JSON.stringify(report) : toText(report));
  });
}

function toText(report: AnswerReport): string {
  const lines = FIGURES.flatMap(([name, label]) => {
    const value = report[name];
    return value === undefined ? [] : [`| ${label.padEnd(46)} | ${value.toFixed(3)} |`];
  });
  const head = `${report.questions} questions, ${report.answerable} of them answerable`;
  return [head, "", `| ${"figure".padEnd(46)} | mean  |`, `| ${"-".repeat(46)} | ----- |`, ...lines].join("\n");
}
