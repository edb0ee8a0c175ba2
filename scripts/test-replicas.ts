/**
 * Read-your-writes under load, on a primary, a streaming replica and PgBouncer in transaction mode before both.
 *
 *   npm run test:replicas -- [--pairs n]
 *
 * Eight clients write a row and look for it at once, while others write and search without pause; half-way the replica is
 * killed and started again. Prints one JSON object as the last line. Exit code 1 when a search missed its row or failed.
 */
import { parseArgs } from "node:util";
import pg from "pg";
import { PostgresVectorStore } from "../src/index.js";
import { startNativeServer } from "../test/helpers/native-server.js";
import { startPgBouncer } from "../test/helpers/pgbouncer.js";
import { startStandby } from "../test/helpers/standby.js";
import { HashedEmbeddings } from "../test/helpers/vectors.js";

const CLIENTS = 8;
const { values } = parseArgs({ options: { pairs: { type: "string" } } });
const pairs = Number(values.pairs ?? 10_000);

const primary = await startNativeServer();
if (primary === undefined) throw new Error("There is no native PostgreSQL with pgvector: set POSTGRES_BIN.");
const admin = new pg.Pool({ connectionString: primary.url, max: 2 });
await admin.query("create extension pg_stat_statements");
const embeddings = new HashedEmbeddings();
const config = { tableName: "replicated", tenancy: "rls", tenantId: "acme" } as const;
await (await PostgresVectorStore.initialize(embeddings, { ...config, connectionString: primary.url })).end();
const standby = await startStandby(primary.url);
const replicaUrl = standby.at(primary.url);
const writes = await startPgBouncer([primary.url], 12);
const reads = await startPgBouncer([replicaUrl], 12);
const result = { pairs: 0, missed: 0, failed: 0, others: 0, seconds: 0, onReplica: 0, onPrimary: 0 };
const errors: string[] = [];
const began = performance.now();
try {
  const store = await PostgresVectorStore.initialize(embeddings, {
    ...config,
    connectionString: writes.through(primary.url),
    replicaConnectionString: reads.through(replicaUrl),
    readYourWrites: true,
  });
  let next = 0;
  const running = new AbortController();
  const traffic = Array.from({ length: 2 }, async (_, worker) => {
    for (let i = 0; !running.signal.aborted; i += 1) {
      const id = `other ${worker}-${i % 500}`;
      await store.addDocuments([{ id, pageContent: `traffic ${i}`, metadata: { number: -1 } }]).catch(note);
      await store.search("traffic", { k: 5, readYourWrites: false }).catch(note);
      result.others += 1;
    }
  });
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (next < pairs) {
      const number = next++;
      const id = `pair ${number}`;
      try {
        await store.addDocuments([{ id, pageContent: `pair ${number}`, metadata: { number } }]);
        const [hit] = await store.search(`pair ${number}`, { k: 1, filter: { number } });
        if (hit?.document.id !== id) result.missed += 1;
      } catch (error) {
        note(error);
      }
      result.pairs += 1;
      if (result.pairs % 1_000 === 0) process.stderr.write(`${result.pairs} of ${pairs} pairs\n`);
    }
  });
  while (result.pairs < pairs / 2) await new Promise((resolve) => setTimeout(resolve, 50));
  const beforeKill = await searchCalls(replicaUrl);
  process.stderr.write("killing the replica\n");
  await standby.kill();
  await standby.start();
  process.stderr.write("the replica is back\n");
  await Promise.all(clients);
  running.abort();
  await Promise.all(traffic);
  result.onReplica = beforeKill + (await searchCalls(replicaUrl));
  result.onPrimary = await searchCalls(primary.url);
  await store.end();
} finally {
  result.seconds = Math.round((performance.now() - began) / 1_000);
  await admin.end();
  await reads.stop();
  await writes.stop();
  await standby.remove();
  await primary.stop();
}
for (const error of errors.slice(0, 5)) process.stderr.write(`${error}\n`);
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exitCode = result.missed + result.failed > 0 ? 1 : 0;

function note(error: unknown): void {
  result.failed += 1;
  errors.push(error instanceof Error ? error.message : String(error));
}

/** Searches that a server has run; a crash empties its counts. */
async function searchCalls(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ calls: string }>(
    "select coalesce(sum(calls), 0) as calls from pg_stat_statements where query like '%/* langchain-pgvector:search */%'",
  );
  await client.end();
  return Number(rows[0]!.calls);
}
