import type { Command } from "commander";
import type { CliContext } from "../context.js";
import { addModelsAdd } from "./add.js";
import { addModelsBackfill } from "./backfill.js";
import { addModelsCompare } from "./compare.js";
import { addModelsRetire } from "./retire.js";
import { addModelsShow } from "./show.js";
import { addModelsSwitch } from "./switch.js";

export function addModels(program: Command, context: CliContext): void {
  const models = program
    .command("models")
    .description("change the embedding model of a store, online and with a way back")
    .addHelpText(
      "after",
      `
For the role that made the store. Readers and writers go on meanwhile.

Examples:
  langchain-pgvector models list
  langchain-pgvector models add --embeddings openai:text-embedding-3-large --price 0.13 --plan
  langchain-pgvector models backfill
  langchain-pgvector models status
  langchain-pgvector models compare --min-overlap 0.5 --html report.html
  langchain-pgvector models cutover --wait 60
  langchain-pgvector models rollback
  langchain-pgvector models retire 1`,
    );
  addModelsShow(models, context);
  addModelsAdd(models, context);
  addModelsBackfill(models, context);
  addModelsCompare(models, context);
  addModelsSwitch(models, context);
  addModelsRetire(models, context);
}
