import type { Command } from "commander";
import { Database } from "../db/database.js";
import { ConfigurationError, TenantIsolationError } from "../errors.js";
import { examine, type Check } from "../ops/doctor.js";
import { runLeakSuite, type LeakReport } from "../ops/leak-suite/run.js";
import { lintLayout, type Finding } from "../ops/tenancy-lint.js";
import { inspectSchema } from "../schema/inspect.js";
import { isAbandoned, readRecords, restore } from "../store/bulk-load/maintenance.js";
import { openStore } from "../store/open.js";
import { resolveOptions } from "../store/options.js";
import { announce } from "./announce.js";
import type { CliContext } from "./context.js";
import { addJsonFlag, addTargetFlags, atLeast, dashed } from "./flags.js";
import { storeArgs } from "./open-store.js";
import { withTarget, type Target, type TargetFlags } from "./target.js";

interface DoctorFlags extends TargetFlags {
  readonly tenancy?: boolean;
  readonly fix?: boolean;
  readonly leakTest?: boolean;
  readonly operations?: number;
  readonly tenants?: number;
  readonly seed?: number;
  readonly partitioned?: boolean;
  readonly adminUrl?: string;
  readonly appRole?: string;
  readonly json?: boolean;
}

export function addDoctor(program: Command, context: CliContext): void {
  const command = program
    .command("doctor")
    .description("check server, role, schema and tenancy, with the cure for each finding")
    .option("--tenancy", "only look for what lets one tenant at another's data")
    .option("--fix", "restore indexes and settings that an interrupted bulk load has left changed")
    .option("--leak-test", "attack a store made for the test in this database, and drop it afterwards")
    .option("--operations <number>", "of the leak test (default: 10000)", atLeast(1))
    .option("--tenants <number>", "of the leak test (default: 200)", atLeast(2))
    .option("--partitioned", "the leak test on a table that is partitioned by tenant")
    .option("--seed <number>", "of the leak test, to repeat one", atLeast(0))
    .option("--admin-url <url>", "for the leak test, a login that may create tables (default: the same)")
    .option("--app-role <name>", "role that applications work as (default: langchain_pgvector_app)");
  addJsonFlag(addTargetFlags(command))
    .addHelpText(
      "after",
      `
Without --fix and --leak-test nothing is changed. The leak test works as the login of --database-url, so name the application's.
Exit code 1: there are errors (warnings alone are 0).

Examples:
  langchain-pgvector doctor --database-url postgres://app@localhost/rag
  langchain-pgvector doctor --tenancy --table articles --json
  langchain-pgvector doctor --fix --database-url postgres://owner@localhost/rag
  langchain-pgvector doctor --leak-test --operations 20000 --admin-url postgres://owner@localhost/rag`,
    )
    .action((flags: DoctorFlags) =>
      withTarget(context, flags, "never", async (target) => {
        announce(context, target, undefined, undefined, "all");
        if (flags.fix) await fix(context, target, flags);
        else if (flags.leakTest) await leakTest(context, target, flags);
        else await diagnose(context, target, flags);
      }),
    );
}

async function diagnose(context: CliContext, target: Target, flags: DoctorFlags): Promise<void> {
  for (const name of ["operations", "tenants", "seed", "partitioned", "adminUrl"] as const) {
    if (flags[name] !== undefined) throw new ConfigurationError(`--${dashed(name)} goes with --leak-test.`);
  }
  const { tenancy: lintOnly, ...place } = flags;
  const { layout } = resolveOptions({
    ...storeArgs(target, place, context),
    tenancy: "rls",
    ...(flags.appRole !== undefined && { appRole: flags.appRole }),
  });
  const database = new Database(target.pool);
  const { checks, findings } = lintOnly
    ? { checks: [], findings: await lintLayout(database, layout) }
    : await examine(database, layout);
  if (flags.json) context.out(JSON.stringify({ checks, findings }));
  else context.out([...checks.map(checkText), ...findings.map(findingText)].join("\n") || "Nothing was found.");
  // The check of tenancy repeats what the findings say.
  const errors =
    checks.filter(({ name, status }) => status === "error" && name !== "tenancy").length +
    findings.filter(({ severity }) => severity === "error").length;
  if (errors > 0) throw new TenantIsolationError(`The doctor found ${errors} ${errors === 1 ? "error" : "errors"}.`);
}

async function fix(context: CliContext, target: Target, flags: DoctorFlags): Promise<void> {
  const { fix: _, tenancy: __, ...place } = flags;
  const args = storeArgs(target, place, context);
  const database = new Database(target.pool);
  const { layout } = resolveOptions(args);
  const { chunks } = await database.connection((session) => inspectSchema(session, layout));
  const options = resolveOptions({ ...args, tenancy: chunks.rowSecurity ? "rls" : "off" });
  const store = await openStore(database, options, undefined, { mustExist: true });
  const restored: string[] = [];
  for (const record of (await readRecords(store)).filter(isAbandoned)) {
    const what = record.kind === "index" ? `the index ${record.name}` : `autovacuum of ${record.name}`;
    context.err(`restoring ${what}`);
    if (await restore(store, record, context.signal)) restored.push(what);
  }
  if (flags.json) context.out(JSON.stringify({ restored }));
  else context.out(restored.length === 0 ? "Nothing is left to restore." : `restored ${restored.join(", ")}`);
}

async function leakTest(context: CliContext, target: Target, flags: DoctorFlags): Promise<void> {
  const { operations, tenants, seed, partitioned, adminUrl, appRole, schema } = flags;
  let tenths = 0;
  const report = await runLeakSuite({
    pool: target.pool,
    ...(adminUrl !== undefined && { adminConnectionString: adminUrl }),
    ...(schema !== undefined && { schemaName: schema }),
    ...(appRole !== undefined && { appRole }),
    ...(operations !== undefined && { operations }),
    ...(tenants !== undefined && { tenants }),
    ...(seed !== undefined && { seed }),
    ...(partitioned !== undefined && { partitioned }),
    signal: context.signal,
    onProgress: (progress) => {
      const now = Math.floor((10 * progress.operations) / progress.total);
      if (now === tenths) return;
      tenths = now;
      context.err(`${progress.operations.toLocaleString("en")} operations, seed ${progress.seed}`);
    },
  });
  context.out(flags.json ? JSON.stringify(report) : leakText(report));
  const found = report.leakedRows + report.crossTenantWrites + report.leakedErrorBytes + report.unexpected;
  if (found > 0) {
    throw new TenantIsolationError(
      `The leak test failed; repeat it with --seed ${report.seed}, and look for the cause with: doctor --tenancy`,
    );
  }
}

function checkText({ status, message, cure }: Check): string {
  return `${status.padEnd(7)}  ${message}${cure === undefined ? "" : `\n         cure: ${cure}`}`;
}

function findingText({ severity, code, message, cure }: Finding): string {
  return `${severity.padEnd(7)}  ${message} [${code}]\n${cure.replace(/^/gm, "         ")}`;
}

function leakText(report: LeakReport): string {
  const calls = Object.values(report.byKind).reduce((sum, kind) => sum + kind.calls, 0);
  return [
    `${report.operations.toLocaleString("en")} operations of ${Object.keys(report.byKind).length} kinds by ${report.tenants} ` +
      `tenants (${calls.toLocaleString("en")} calls), seed ${report.seed}, ${(report.durationMs / 1_000).toFixed(1)} s`,
    `leaked rows: ${report.leakedRows}`,
    `cross-tenant writes: ${report.crossTenantWrites}`,
    `bytes of other tenants in error texts: ${report.leakedErrorBytes}`,
    `unexpected outcomes: ${report.unexpected}`,
    ...report.findings.slice(0, 10).map(({ kind, operation, detail }) => `${kind} by ${operation}: ${detail}`),
  ].join("\n");
}
