import { readFileSync } from "node:fs";
import { Command } from "commander";
import { addAdopt } from "./adopt.js";
import { addAsk } from "./ask.js";
import { addBackup } from "./backup/backup.js";
import { addRestore } from "./backup/restore.js";
import { addChat } from "./chat.js";
import type { CliContext } from "./context.js";
import { addDemo } from "./demo.js";
import { addDoctor } from "./doctor.js";
import { addEval } from "./eval/index.js";
import { addExplain } from "./explain.js";
import { explainError } from "./explain-error.js";
import { addExport } from "./export.js";
import { addImport } from "./import/index.js";
import { addIndexes } from "./indexes/index.js";
import { addIngest } from "./ingest.js";
import { addInit } from "./init.js";
import { addModels } from "./models/index.js";
import { addSearch } from "./search.js";
import { addSize } from "./size.js";
import { addStats } from "./stats.js";
import { addTenants } from "./tenants/index.js";
import { addTune } from "./tune.js";

/**
 * Runs one verb.
 *
 * @param args the words after the program's name.
 * @returns the exit code: 0 done, 1 failed, 2 wrong usage.
 */
export async function runCli(args: readonly string[], context: CliContext): Promise<number> {
  try {
    await createProgram(context).parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    const { code, message } = explainError(error, context.signal);
    if (message !== undefined) context.err(message);
    return code;
  }
}

function createProgram(context: CliContext): Command {
  const program = new Command("langchain-pgvector")
    .description("The production Postgres vector store and RAG pipeline for LangChain.js")
    .version(packageVersion())
    // Behind a verb --version is that verb's own.
    .enablePositionalOptions()
    .showHelpAfterError("(add --help for usage and examples)")
    .configureOutput({
      writeOut: (text) => context.out(text.trimEnd()),
      writeErr: (text) => context.err(text.trimEnd()),
    })
    .exitOverride();
  program.commandsGroup("Start:");
  addDemo(program, context);
  addIngest(program, context);
  addAsk(program, context);
  addChat(program, context);
  addSearch(program, context);
  program.commandsGroup("Store:");
  addInit(program, context);
  addAdopt(program, context);
  addImport(program, context);
  addExport(program, context);
  addTenants(program, context);
  addModels(program, context);
  addIndexes(program, context);
  program.commandsGroup("Operate:");
  addDoctor(program, context);
  addExplain(program, context);
  addTune(program, context);
  addStats(program, context);
  addSize(program, context);
  addBackup(program, context);
  addRestore(program, context);
  program.commandsGroup("Measure:");
  addEval(program, context);
  program.addHelpText("after", "\nEvery verb explains itself: langchain-pgvector <verb> --help");
  return program;
}

function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
