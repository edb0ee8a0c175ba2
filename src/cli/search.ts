import type { Command } from "commander";
import { citationOf, formatCitation } from "../chains/citation.js";
import { ConfigurationError } from "../errors.js";
import type { Filter } from "../store/filter/index.js";
import type { SearchHit } from "../store/search-hit.js";
import { abortable } from "./abortable.js";
import type { CliContext } from "./context.js";
import {
  addEmbeddingFlags,
  addFilterFlag,
  addJsonFlag,
  addTargetFlags,
  addTenancyFlags,
  atLeast,
  type PatienceFlags,
} from "./flags.js";
import type { ModelFlags } from "./model-options.js";
import { openCliStore } from "./open-store.js";
import { withTarget, type TargetFlags, type TenancyFlags } from "./target.js";

interface SearchFlags extends TargetFlags, TenancyFlags, ModelFlags, PatienceFlags {
  readonly k: number;
  readonly filter?: Filter;
  readonly json?: boolean;
}

const SNIPPET_CHARACTERS = 200;

export function addSearch(program: Command, context: CliContext): void {
  const command = program
    .command("search")
    .description("find the chunks nearest to a text")
    .argument("<query...>", "what to look for")
    .option("-k <number>", "how many chunks", atLeast(1), 5);
  addJsonFlag(addEmbeddingFlags(addTenancyFlags(addTargetFlags(addFilterFlag(command)))))
    .addHelpText(
      "after",
      `
Examples:
  langchain-pgvector search "row level security" -k 3
  langchain-pgvector search vacuum --filter '{"source": {"$like": "docs/%"}}' --json`,
    )
    .action((words: string[], flags: SearchFlags) => search(context, words.join(" "), flags));
}

async function search(context: CliContext, query: string, flags: SearchFlags): Promise<void> {
  if (query.trim() === "") throw new ConfigurationError("The query is empty; write what to look for.");
  await withTarget(context, flags, "open", async (target) => {
    const store = await openCliStore(context, target, flags, { create: false });
    const { k, filter } = flags;
    const hits = await abortable(context.signal, () => store.search(query, { k, filter, signal: context.signal }));
    if (flags.json) context.out(JSON.stringify(hits.map(toJson)));
    else context.out(hits.map(toText).join("\n\n") || "nothing found");
  });
}

/** A `SearchHit` with a plain document. */
function toJson({ document, ...hit }: SearchHit): object {
  const { id, pageContent, metadata } = document;
  return { document: { id, pageContent, metadata }, ...hit };
}

function toText({ document, score, distance }: SearchHit, index: number): string {
  const place = formatCitation(citationOf(document, index + 1, { start: 0, end: document.pageContent.length }));
  const text = document.pageContent.replace(/\s+/g, " ");
  const snippet = text.length <= SNIPPET_CHARACTERS ? text : `${text.slice(0, SNIPPET_CHARACTERS).toWellFormed()}…`;
  return `${index + 1}. ${place}\n   similarity ${score.toFixed(3)}, distance ${distance!.toFixed(3)}\n   ${snippet}`;
}
