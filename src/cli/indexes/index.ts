import type { Command } from "commander";
import type { CliContext } from "../context.js";
import { addIndexesCreate } from "./create.js";
import { addIndexesDrop } from "./drop.js";
import { addIndexesList } from "./list.js";
import { addIndexesRebuild } from "./rebuild.js";

export function addIndexes(program: Command, context: CliContext): void {
  const indexes = program
    .command("indexes")
    .description("list, create, rebuild and drop the indexes of a store, online")
    .addHelpText(
      "after",
      `
For the role that owns the table. Reads and writes go on meanwhile; Ctrl-C cancels a build and removes its remains.

Examples:
  langchain-pgvector indexes list --database-url postgres://owner@localhost/rag
  langchain-pgvector indexes create --plan
  langchain-pgvector indexes create --m 24 --ef-construction 200
  langchain-pgvector indexes create --type ivfflat
  langchain-pgvector indexes create --type btree --key year
  langchain-pgvector indexes create --tenant acme
  langchain-pgvector indexes rebuild --memory 4GB
  langchain-pgvector indexes drop langchain_chunks_embedding_hnsw_idx`,
    );
  addIndexesList(indexes, context);
  addIndexesCreate(indexes, context);
  addIndexesRebuild(indexes, context);
  addIndexesDrop(indexes, context);
}
