/**
 * A rolling deployment around a change of models: processes that have the old embedder alone, both, and the new one
 * alone, on the primary and on a streaming replica, through add, backfill, cut-over, rollback and retire. Counts failed
 * reads and writes, reads of mixed versions (both models have as many dimensions), and lost writes; each has to be none.
 *
 *   npm run test:rolling -- [--rows n] [--reads n]
 */
import { parseArgs } from "node:util";
import pg from "pg";
import { PostgresVectorStore } from "../src/index.js";
import { ModelEmbeddings } from "../test/helpers/model-embeddings.js";
import { openStandaloneDatabase } from "../test/helpers/open-database.js";
import {
  plantedText,
  ROLLING_DIMENSIONS,
  RollingProcess,
  type RollingJob,
  type RollingReport,
} from "../test/helpers/rolling.js";
import { startStandby } from "../test/helpers/standby.js";

const { values } = parseArgs({ options: { rows: { type: "string" }, reads: { type: "string" } } });
const rows = Number(values.rows ?? 2_000);
/** That each process has to have done in each phase. */
const reads = Number(values.reads ?? 200);
const tableName = "rolling";
const [old, next] = [new ModelEmbeddings("old", ROLLING_DIMENSIONS), new ModelEmbeddings("next", ROLLING_DIMENSIONS)];

const database = await openStandaloneDatabase({ synchronous_commit: "on" });
if (database.kind !== "server") throw new Error("There is no PostgreSQL server; see test/helpers/server.ts.");
const replica = await startStandby(database.url);
const began = performance.now();
try {
  const places = [database.url, replica.at(database.url)];
  const admin = await PostgresVectorStore.initialize(old, {
    pool: database.newPool(),
    tableName,
    embedders: { [next.fingerprint]: next },
  });
  await admin.bulkLoad(
    Array.from({ length: rows }, (_, index) => ({ id: String(index), pageContent: plantedText(index), metadata: {} })),
  );
  await admin.createHnswIndex();
  await caughtUp();
  const deploy = (embedders: RollingJob["embedders"]): RollingProcess[] =>
    places.map((url) => new RollingProcess({ url, tableName, embedders, rows, writes: url === database.url }));
  const reports: RollingReport[] = [];
  let running = [...deploy("old"), ...deploy("both")];
  const phase = async (name: string, work: () => Promise<unknown>): Promise<void> => {
    await work();
    await Promise.all(running.map((process) => process.readsMore(reads)));
    say(`${name}: ${running.length} processes read on`);
  };
  const undeploy = async (embedders: RollingJob["embedders"]): Promise<void> => {
    const gone = running.filter(({ job }) => job.embedders === embedders);
    running = running.filter((process) => !gone.includes(process));
    reports.push(...(await Promise.all(gone.map((process) => process.stop()))));
  };
  await phase("before", () => Promise.resolve());
  await phase("add", () => admin.models.add({ embeddings: next }));
  await phase("backfill", async () => {
    // Processes with the old embedder alone write rows that wait for the next call.
    while ((await admin.models.backfill({ maxSlowdown: false })).missing > 0) say("rows came that wait");
  });
  const { objections } = await admin.models.planCutover();
  if (!objections.join().includes("lack the embedder of version 2")) throw new Error("The old processes are not seen.");
  await phase("cut-over", () => switchWhenComplete(() => admin.models.cutover({ version: 2, force: true })));
  await caughtUp();
  await phase("deploying the new embedder alone", () => Promise.resolve((running = [...running, ...deploy("next")])));
  await phase("rollback", () => switchWhenComplete(() => admin.models.rollback({ force: true })));
  await phase("second cut-over", () => switchWhenComplete(() => admin.models.cutover({ version: 2, force: true })));
  await phase("taking the old embedder away", () => undeploy("old"));
  await phase("retire", () => admin.models.retire({ version: 1, force: true }));
  await undeploy("both");
  await undeploy("next");
  const sum = (of: (report: RollingReport) => number): number => reports.reduce((all, report) => all + of(report), 0);
  const failures = reports.flatMap((report) => report.failures);
  const written = reports.flatMap((report) => report.written);
  const { rows: found } = await database.pool
    .connect()
    .then((client) =>
      client
        .query({ text: `select count(*)::int as found from ${tableName} where id = any($1)`, values: [written] })
        .finally(() => client.release()),
    );
  const result = {
    rows,
    processes: reports.length,
    reads: sum((report) => report.reads),
    written: written.length,
    failed: failures.length,
    mixed: sum((report) => report.mixed),
    lost: written.length - (found[0]!["found"] as number),
    seconds: Math.round((performance.now() - began) / 1_000),
    failures: failures.slice(0, 5),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  process.exitCode = result.failed + result.mixed + result.lost > 0 ? 1 : 0;
  await admin.end();
} finally {
  await replica.remove();
  await database.close();
}

/** Writers of one embedder leave rows that wait; a switch is refused until they are filled, and is tried again. */
async function switchWhenComplete(work: () => Promise<unknown>): Promise<void> {
  const filler = await PostgresVectorStore.initialize(old, {
    pool: database.newPool(),
    tableName,
    embedders: { [next.fingerprint]: next },
  });
  for (let attempt = 1; ; attempt += 1) {
    for (const version of [1, 2]) await filler.models.backfill({ version, index: false, maxSlowdown: false });
    const error = await work().then(
      () => undefined,
      (failure: unknown) => failure,
    );
    if (error === undefined) break;
    if (attempt === 200 || !String(error).includes("wait for their vector")) throw error;
  }
  await filler.end();
}

/** Waits until the replica has what the primary has now. */
async function caughtUp(): Promise<void> {
  if (database.kind !== "server") return;
  const [primary, standby] = [new pg.Client(database.url), new pg.Client(replica.at(database.url))];
  await Promise.all([primary.connect(), standby.connect()]);
  const { rows: at } = await primary.query<{ lsn: string }>("select pg_current_wal_lsn()::text as lsn");
  for (;;) {
    const reply = await standby.query<{ ok: boolean }>("select pg_last_wal_replay_lsn() >= $1::pg_lsn as ok", [
      at[0]!.lsn,
    ]);
    if (reply.rows[0]!.ok) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await Promise.all([primary.end(), standby.end()]);
}

function say(text: string): void {
  process.stderr.write(`[${((performance.now() - began) / 1_000).toFixed(0).padStart(4)} s] ${text}\n`);
}
