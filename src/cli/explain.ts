import type { Command } from "commander";
import { ConfigurationError } from "../errors.js";
import type { Filter } from "../store/filter/index.js";
import type { SearchType } from "../store/options.js";
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
import type { ModelFlags } from "./model-options.js";
import { openCliStore } from "./open-store.js";
import { withTarget, type TargetFlags, type TenancyFlags } from "./target.js";

interface ExplainFlags extends TargetFlags, TenancyFlags, ModelFlags, PatienceFlags {
  readonly k: number;
  readonly filter?: Filter;
  readonly mode?: SearchType;
  readonly sql?: string;
  readonly json?: boolean;
}

export function addExplain(program: Command, context: CliContext): void {
  const command = program
    .command("explain")
    .description("run a search or a query and say in words what the database did, and what to change")
    .argument("[query...]", "what to look for")
    .option("--sql <query>", "one select of your own instead; it runs read-only and is rolled back")
    .option("-k <number>", "how many chunks", atLeast(1), 4);
  addJsonFlag(addEmbeddingFlags(addTenancyFlags(addTargetFlags(addFilterFlag(addModeFlag(command))))))
    .addHelpText(
      "after",
      `
The search runs as the store runs it: same statement, role, tenant and settings. Exit code 0, whatever is found.

Examples:
  langchain-pgvector explain "row level security" --table articles
  langchain-pgvector explain vacuum --mode hybrid --filter '{"source": {"$like": "docs/%"}}' --tenant acme
  langchain-pgvector explain --sql "select id from articles order by embedding <-> '[...]' limit 5" --json`,
    )
    .action((words: string[], flags: ExplainFlags) => explain(context, words.join(" "), flags));
}

async function explain(context: CliContext, query: string, flags: ExplainFlags): Promise<void> {
  const { k, filter, mode, sql } = flags;
  if ((query.trim() === "") === (sql === undefined)) {
    throw new ConfigurationError("Give either what to look for, or --sql with a query of your own.");
  }
  await withTarget(context, flags, "open", async (target) => {
    const store = await openCliStore(context, target, flags, { create: false });
    const { signal } = context;
    const explained = await abortable(signal, () =>
      store.explain(sql === undefined ? query : { sql }, { k, filter, searchType: mode, signal }),
    );
    context.out(flags.json ? JSON.stringify(explained) : explained.text);
  });
}
