import type { Command } from "commander";
import { citationOf, formatCitation } from "../chains/citation.js";
import type { SearchHit } from "../store/postgres-vector-store.js";
import type { CliContext } from "./context.js";
import { addEmbeddingFlags, addJsonFlag, addTargetFlags, atLeast, jsonObject } from "./flags.js";
import type { ModelFlags } from "./model-options.js";
import { openCliStore } from "./open-store.js";
import { openTarget, type TargetFlags } from "./target.js";

interface SearchFlags extends TargetFlags, ModelFlags {
  readonly k: number;
  readonly filter?: Record<string, never>;
  readonly json?: boolean;
}

export function addSearch(program: Command, context: CliContext): void {
  const command = program
    .command("search")
    .description("find the chunks nearest to a text")
    .argument("<query>", "what to look for")
    .option("-k <number>", "how many chunks", atLeast(1), 5)
    .option("--filter <json>", "metadata filter", jsonObject);
  addJsonFlag(addEmbeddingFlags(addTargetFlags(command)))
    .addHelpText(
      "after",
      `
Examples:
  langchain-pgvector search "row level security" -k 3
  langchain-pgvector search "vacuum" --filter '{"source": {"$like": "docs/%"}}' --json`,
    )
    .action((query: string, flags: SearchFlags) => search(context, query, flags));
}

async function search(context: CliContext, query: string, flags: SearchFlags): Promise<void> {
  const target = await openTarget(context, flags, "allowed");
  try {
    const store = await openCliStore(context, target, flags, false);
    const hits = await store.search(query, { k: flags.k, filter: flags.filter, signal: context.signal });
    context.out(flags.json ? JSON.stringify(hits) : hits.map(toText).join("\n\n") || "nothing found");
  } finally {
    await target.close();
  }
}

function toText({ document, score, distance }: SearchHit, index: number): string {
  const place = formatCitation(citationOf(document, index + 1, { start: 0, end: document.pageContent.length }));
  const snippet = document.pageContent.replace(/\s+/g, " ").slice(0, 200);
  return `${index + 1}. ${place}\n   similarity ${score.toFixed(3)}, distance ${distance!.toFixed(3)}\n   ${snippet}`;
}
