/**
 * The long run of the leak suite: on a server, behind PgBouncer in transaction mode, and on the embedded database.
 *
 *   npm run leak-test -- [--operations n] [--tenants n] [--seed s] [--only server|pgbouncer|embedded]
 *
 * Prints a table, and one JSON object as the last line. Exit code 1 when anything has leaked or ended unexpectedly.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { runLeakSuite, type LeakReport, type LeakSuiteConfig } from "../src/index.js";
import { openEmbeddedDatabase, openStandaloneDatabase } from "../test/helpers/open-database.js";
import { findPgBouncer, startPgBouncer } from "../test/helpers/pgbouncer.js";

const KINDS = ["server", "pgbouncer", "embedded"] as const;
type Kind = (typeof KINDS)[number];

/** What takes minutes, not hours, on two cores: one backend in WebAssembly does about a hundredth of a server's work. */
const DEFAULTS: Record<Kind, { operations: number; tenants: number }> = {
  server: { operations: 100_000, tenants: 200 },
  pgbouncer: { operations: 100_000, tenants: 200 },
  embedded: { operations: 20_000, tenants: 200 },
};

const { values } = parseArgs({
  options: {
    operations: { type: "string" },
    tenants: { type: "string" },
    seed: { type: "string" },
    only: { type: "string" },
  },
});
const wanted = KINDS.filter((kind) => values.only === undefined || values.only === kind);
if (wanted.length === 0) throw new Error(`--only takes ${KINDS.join(", ")}, got ${values.only}.`);

const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort(new Error("interrupted")));

async function run(kind: Kind, config: LeakSuiteConfig): Promise<LeakReport> {
  const seed = values.seed === undefined ? {} : { seed: Number(values.seed) };
  return runLeakSuite({
    ...config,
    ...seed,
    operations: Number(values.operations ?? DEFAULTS[kind].operations),
    tenants: Number(values.tenants ?? DEFAULTS[kind].tenants),
    signal: interrupted.signal,
    onProgress: ({ operations, total, seed: used }) => {
      if (operations % (total / 20) < 1) process.stderr.write(`${kind}: ${operations} of ${total}, seed ${used}\n`);
    },
  });
}

async function runOnServer(kind: Kind): Promise<LeakReport> {
  const database = await openStandaloneDatabase();
  try {
    if (database.kind !== "server") throw new Error("There is no PostgreSQL server; see test/helpers/server.ts.");
    const { appUrl, ownerUrl } = database;
    if (kind === "server") {
      return await run(kind, { connectionString: appUrl, adminConnectionString: ownerUrl, poolSize: 6 });
    }
    const bouncer = await startPgBouncer([appUrl, ownerUrl], 4);
    try {
      const [app, owner] = [bouncer.through(appUrl), bouncer.through(ownerUrl)];
      return await run(kind, { connectionString: app, adminConnectionString: owner, poolSize: 8 });
    } finally {
      await bouncer.stop();
    }
  } finally {
    await database.close();
  }
}

async function runEmbedded(): Promise<LeakReport> {
  const database = await openEmbeddedDatabase();
  try {
    return await run("embedded", { pool: database.pool });
  } finally {
    await database.close();
  }
}

const figures: Partial<Record<Kind, object>> = {};
let failed = false;
const columns = [
  "where",
  "operations",
  "calls",
  "refused",
  "leaked rows",
  "cross writes",
  "error bytes",
  "unexpected",
  "seconds",
];
process.stdout.write(`${columns.join(" | ")}\n`);
for (const kind of wanted) {
  if (kind === "pgbouncer" && findPgBouncer() === undefined) {
    process.stdout.write("pgbouncer | skipped: it is not installed (Debian: apt-get install pgbouncer)\n");
    continue;
  }
  const report = kind === "embedded" ? await runEmbedded() : await runOnServer(kind);
  const { byKind, findings, ...counts } = report;
  const sum = (key: "calls" | "refused"): number => Object.values(byKind).reduce((total, one) => total + one[key], 0);
  const leaks = [report.leakedRows, report.crossTenantWrites, report.leakedErrorBytes, report.unexpected];
  const row = [report.operations, sum("calls"), sum("refused"), ...leaks, Math.round(report.durationMs / 1_000)];
  process.stdout.write(`${[kind, ...row].join(" | ")}\n`);
  for (const finding of findings) process.stdout.write(`  ${JSON.stringify(finding)}\n`);
  figures[kind] = { ...counts, kinds: Object.keys(byKind).length, calls: sum("calls"), refused: sum("refused") };
  failed ||= leaks.some((count) => count > 0);
}
process.stdout.write(
  `${JSON.stringify({ bench: "leak-test", machine: { cores: cpus().length, node: process.version }, figures })}\n`,
);
process.exitCode = failed ? 1 : 0;
