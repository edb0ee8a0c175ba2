import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import pg from "pg";
import { table } from "../bench/harness.js";
import { ChromaClient } from "../src/chroma/client.js";
import { importChroma } from "../src/chroma/index.js";
import { fillCollection, sampleRecords } from "../test/helpers/chroma-records.js";
import { startChromaServer } from "../test/helpers/chroma-server.js";
import { openStandaloneDatabase } from "../test/helpers/open-database.js";

/**
 * Peak memory of a process that imports a collection of Chroma, and of one that imports four times as many records of
 * 384 dimensions. Exits 1 when the second takes over a quarter more.
 */
const { values } = parseArgs({
  options: {
    records: { type: "string", default: "10000" },
    child: { type: "string" },
  },
});
const DIMENSIONS = 384;
const MOST = 1.25;

interface Job {
  readonly chroma: string;
  readonly database: string;
  readonly collection: string;
}

interface Peak {
  readonly records: number;
  readonly mebibytes: number;
  readonly seconds: number;
}

async function runChild({ chroma, database, collection }: Job): Promise<void> {
  const pool = new pg.Pool({ connectionString: database, max: 4 });
  const started = performance.now();
  const report = await importChroma({
    chroma: { url: chroma },
    pool,
    collections: [collection],
    tableName: "imported",
  });
  const peak: Peak = {
    records: report.collections[0]!.records,
    mebibytes: Math.round(process.resourceUsage().maxRSS / 1_024),
    seconds: Math.round((performance.now() - started) / 100) / 10,
  };
  await pool.end();
  process.stdout.write(JSON.stringify(peak));
}

async function compare(records: number): Promise<void> {
  const chroma = await startChromaServer();
  const database = await openStandaloneDatabase();
  try {
    if (database.kind !== "server") throw new Error("This needs a PostgreSQL server; see test/helpers/server.ts.");
    const client = new ChromaClient({ url: chroma.url });
    const peaks: Peak[] = [];
    for (const count of [records, 4 * records]) {
      const collection = `records-${count}`;
      await fillCollection(client, collection, "l2", sampleRecords(count, DIMENSIONS, count));
      const job: Job = { chroma: chroma.url, database: database.url, collection };
      const script = fileURLToPath(import.meta.url);
      const args = ["--import", "tsx", script, "--child", JSON.stringify(job)];
      peaks.push(JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as Peak);
    }
    table(
      "Peak memory of a process that imports",
      peaks.map(({ records: count, mebibytes, seconds }) => ({ records: count, "peak MiB": mebibytes, seconds })),
    );
    if (peaks[1]!.mebibytes > MOST * peaks[0]!.mebibytes) process.exitCode = 1;
  } finally {
    await database.close();
    await chroma.stop();
  }
}

await (values.child === undefined ? compare(Number(values.records)) : runChild(JSON.parse(values.child) as Job));
