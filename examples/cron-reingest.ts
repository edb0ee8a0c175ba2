// Keeps a store in step with a folder: run it from cron, as often as you like.
//   */15 * * * * cd /srv/rag && npx tsx cron-reingest.ts docs
// Unchanged chunks are not embedded again; those of changed and deleted files are removed. Without a folder it shows
// that on one of its own.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PostgresRecordManager } from "@langchain/community/indexes/postgres";
import { index } from "@langchain/core/indexing";
import { OfflineEmbeddings, PostgresVectorStore } from "langchain-pgvector";
import { openEmbeddedPostgres } from "langchain-pgvector/embedded";
import { loadDocuments, splitDocuments } from "langchain-pgvector/loaders";

const given = process.argv[2];
const pool = await openEmbeddedPostgres(given === undefined ? {} : { dataDir: "rag-database" });
const docsStore = await PostgresVectorStore.initialize(new OfflineEmbeddings(), { pool, tableName: "docs" });
const recordManager = new PostgresRecordManager("docs", { pool: pool as never });
await recordManager.createSchema();

async function reingest(folder: string): Promise<void> {
  const chunks = [];
  for await (const chunk of splitDocuments(loadDocuments(folder))) chunks.push(chunk);
  const options = { cleanup: "full", sourceIdKey: "source" } as const;
  const { numAdded, numDeleted, numSkipped } = await index({
    docsSource: chunks,
    recordManager,
    vectorStore: docsStore,
    options,
  });
  console.log(`added ${numAdded}, removed ${numDeleted}, unchanged ${numSkipped}`);
}

if (given !== undefined) {
  await reingest(given);
} else {
  const folder = mkdtempSync(join(tmpdir(), "reingest-"));
  writeFileSync(join(folder, "hours.md"), "The shop opens at nine.\n");
  writeFileSync(join(folder, "parking.md"), "Park behind the house.\n");
  await reingest(folder);
  await reingest(folder);
  writeFileSync(join(folder, "hours.md"), "The shop opens at ten.\n");
  rmSync(join(folder, "parking.md"));
  await reingest(folder);
  console.log((await docsStore.similaritySearch("When does the shop open?", 1))[0]!.pageContent);
  rmSync(folder, { recursive: true });
}
await pool.end();
