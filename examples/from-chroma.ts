// From ChromaDB to Postgres: npx tsx from-chroma.ts
// With CHROMA_URL and DATABASE_URL set it moves all your collections; without, it makes a small Chroma (npm install
// chromadb) and an embedded Postgres, and shows that searches give the same before and after.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Chroma as ChromaOnChroma } from "@langchain/community/vectorstores/chroma";
import { OfflineEmbeddings } from "langchain-pgvector";
import { Chroma, importChroma, runChromaServer, setDefaultConnection } from "langchain-pgvector/chroma";
import { openEmbeddedPostgres } from "langchain-pgvector/embedded";

const embeddings = new OfflineEmbeddings();
const { CHROMA_URL, DATABASE_URL } = process.env;

if (CHROMA_URL && DATABASE_URL) {
  const report = await importChroma({
    chroma: { url: CHROMA_URL },
    connectionString: DATABASE_URL,
    onProgress: ({ collection, phase, done }) => console.error(`${collection}: ${phase} ${done}`),
  });
  console.log(report.collections.map(({ name, records }) => `${name}: ${records} records`).join("\n"));
} else {
  const dataDir = mkdtempSync(join(tmpdir(), "from-chroma-"));
  const server = await runChromaServer({ dataDir });
  const pool = await openEmbeddedPostgres();
  try {
    const before = new ChromaOnChroma(embeddings, { collectionName: "kites", url: server.url });
    await before.addDocuments([
      { pageContent: "A kite needs a wind of at least 12 km/h to rise.", metadata: { topic: "wind", year: 2023 } },
      { pageContent: "Dry the string of a kite before you roll it up.", metadata: { topic: "care", year: 2024 } },
      { pageContent: "Strong wind tears the sail of a kite.", metadata: { topic: "wind", year: 2024 } },
    ]);

    const report = await importChroma({ chroma: { url: server.url }, pool });
    const [kites] = report.collections;
    console.log(`${kites!.records} records imported, ${kites!.verification!.compared} compared`);

    await setDefaultConnection({ pool });
    const after = await Chroma.fromExistingCollection(embeddings, { collectionName: "kites" });
    for (const store of [before, after]) {
      const found = await store.similaritySearchWithScore("how much wind?", 2, { topic: "wind" });
      console.log(found.map(([{ pageContent }, distance]) => `${distance.toFixed(4)} ${pageContent}`).join("\n"));
    }
  } finally {
    await pool.end();
    await server.stop();
    rmSync(dataDir, { recursive: true });
  }
}
