import type { Command } from "commander";
import { Database } from "../db/database.js";
import { ConfigurationError, DatabaseError, TenantIsolationError } from "../errors.js";
import { fromLint } from "../ops/doctor/check-tenancy.js";
import { examine, type Diagnosis } from "../ops/doctor/examine.js";
import { fixFindings, type FixedFinding } from "../ops/doctor/fix.js";
import { runLeakSuite, type LeakReport } from "../ops/leak-suite/run.js";
import { lintLayout } from "../ops/tenancy-lint.js";
import type { Layout } from "../schema/layout.js";
import { findingText } from "../store/explain/explain-text.js";
import { resolveOptions } from "../store/options.js";
import { announce } from "./announce.js";
import type { CliContext } from "./context.js";
import { addJsonFlag, addTargetFlags, atLeast, dashed } from "./flags.js";
import { storeArgs } from "./open-store.js";
import { withTarget, type Target, type TargetFlags } from "./target.js";

interface DoctorFlags extends TargetFlags {
  readonly tenancy?: boolean;
  readonly fix?: boolean;
  readonly plan?: boolean;
  readonly strict?: boolean;
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
    .description("look over the whole installation, with the cure for each finding")
    .option("--tenancy", "only look for what lets one tenant at another's data")
    .option("--fix", "run the cures that lose nothing and block nobody")
    .option("--plan", "with --fix: print what would be run, and change nothing")
    .option("--strict", "exit with 1 for warnings too")
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
Exit code 1: there are errors, with --strict warnings too; with --fix: something could not be fixed.

Examples:
  langchain-pgvector doctor --database-url postgres://app@localhost/rag
  langchain-pgvector doctor --tenancy --table articles --json
  langchain-pgvector doctor --fix --plan
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
  if (flags.plan) throw new ConfigurationError("--plan goes with --fix.");
  const layout = layoutOf(context, target, flags);
  const database = new Database(target.pool);
  const { facts, findings, unseen } = flags.tenancy
    ? { facts: [], findings: (await lintLayout(database, layout)).map(fromLint), unseen: [] }
    : await examine(database, layout, { appRole: flags.appRole });
  if (flags.json) context.out(JSON.stringify({ facts, findings, unseen }));
  else context.out(diagnosisText({ facts, findings, unseen }));
  const counted = (wanted: string): number => findings.filter(({ severity }) => severity === wanted).length;
  const found = [
    ...plural(counted("error"), "error"),
    ...(flags.strict ? plural(counted("warning"), "warning") : []),
  ].join(" and ");
  if (found !== "") throw new TenantIsolationError(`The doctor found ${found}.`);
}

/** The names of the store; what the table really has, tenancy included, is found in the database. */
function layoutOf(context: CliContext, target: Target, flags: DoctorFlags): Layout {
  const { tenancy: _, ...place } = flags;
  return resolveOptions({ ...storeArgs(target, place, context), tenancy: "rls" }).layout;
}

function plural(count: number, what: string): string[] {
  return count === 0 ? [] : [`${count} ${what}${count === 1 ? "" : "s"}`];
}

async function fix(context: CliContext, target: Target, flags: DoctorFlags): Promise<void> {
  const fixed = await fixFindings(new Database(target.pool), layoutOf(context, target, flags), {
    appRole: flags.appRole,
    plan: flags.plan,
    signal: context.signal,
    onProgress: ({ id, object }) => context.err(`fixing ${id}: ${object}`),
  });
  if (flags.json) context.out(JSON.stringify({ fixed }));
  else context.out(fixed.map(fixedText).join("\n") || "There is nothing to fix.");
  const failed = fixed.filter(({ outcome }) => outcome === "failed").length;
  if (failed > 0) throw new DatabaseError(`${failed} of ${fixed.length} cures failed.`, undefined, false);
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

function diagnosisText({ facts, findings, unseen }: Diagnosis): string {
  const lines = [
    ...facts.map((fact) => `ok       ${fact}`),
    ...findings.map(findingText),
    ...unseen.map(({ what, cure }) => `unseen   ${what}\n         ${cure}`),
  ];
  return findings.length > 0 ? lines.join("\n") : [...lines, "Nothing was found."].join("\n");
}

function fixedText({ id, object, cure, outcome, reason }: FixedFinding): string {
  return `${outcome.padEnd(7)}  ${id}: ${object}${reason === undefined ? "" : `: ${reason}`}\n${cure.replace(/^/gm, "         ")}`;
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
