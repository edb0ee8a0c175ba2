import type { Command } from "commander";
import { ConfigurationError } from "../errors.js";
import type { Filter } from "../store/filter/index.js";
import type { SearchType } from "../store/options.js";
import type { SearchHit } from "../store/search-hit.js";
import { abortable } from "./abortable.js";
import type { CliContext } from "./context.js";
import {
  addEmbeddingFlags,
  addFilterFlag,
  addJsonFlag,
  addModeFlag,
  addTargetFlags,
  addTenancyFlags,
  atLeast,
  type PatienceFlags,
} from "./flags.js";
import { explainTable, hitText } from "./explain-hit.js";
import type { ModelFlags } from "./model-options.js";
import { openCliStore } from "./open-store.js";
import { withTarget, type TargetFlags, type TenancyFlags } from "./target.js";

interface SearchFlags extends TargetFlags, TenancyFlags, ModelFlags, PatienceFlags {
  readonly k: number;
  readonly filter?: Filter;
  readonly mode?: SearchType;
  readonly explain?: boolean;
  readonly json?: boolean;
}

export function addSearch(program: Command, context: CliContext): void {
  const command = program
    .command("search")
    .description("find the chunks that suit a text best")
    .argument("<query...>", "what to look for")
    .option("-k <number>", "how many chunks", atLeast(1), 5)
    .option("--explain", "say what each ranking made of a chunk, and which words matched");
  addJsonFlag(addEmbeddingFlags(addTenancyFlags(addTargetFlags(addFilterFlag(addModeFlag(command))))))
    .addHelpText(
      "after",
      `
Examples:
  langchain-pgvector search "row level security" -k 3
  langchain-pgvector search '"index only scan" -gin visibility' --mode hybrid --explain
  langchain-pgvector search vacuum --filter '{"source": {"$like": "docs/%"}}' --json`,
    )
    .action((words: string[], flags: SearchFlags) => search(context, words.join(" "), flags));
}

async function search(context: CliContext, query: string, flags: SearchFlags): Promise<void> {
  if (query.trim() === "") throw new ConfigurationError("The query is empty; write what to look for.");
  await withTarget(context, flags, "open", async (target) => {
    const store = await openCliStore(context, target, flags, { create: false });
    const { k, filter, mode, explain = false } = flags;
    const hits = await abortable(context.signal, () =>
      store.search(query, { k, filter, searchType: mode, signal: context.signal }),
    );
    if (hits[0]?.fallback !== undefined)
      context.err(`The query has no word to look up; searched by ${hits[0].fallback}.`);
    if (flags.json) context.out(JSON.stringify(hits.map(toJson)));
    else if (hits.length === 0) context.out("nothing found");
    else context.out([...(explain ? [explainTable(hits)] : []), ...hits.map(hitText)].join("\n\n"));
  });
}

/** A `SearchHit` with a plain document. */
function toJson({ document, ...hit }: SearchHit): object {
  const { id, pageContent, metadata } = document;
  return { document: { id, pageContent, metadata }, ...hit };
}
