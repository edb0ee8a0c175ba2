import type { Database } from "../db/database.js";
import { inspectSchema, type SchemaState } from "../schema/inspect.js";
import type { Layout } from "../schema/layout.js";
import { planSchema } from "../schema/plan.js";
import { isAbandoned, mayReadRecords, readRecords } from "../store/bulk-load/maintenance.js";
import { lintLayout, type Finding } from "./tenancy-lint.js";

/** One thing that the doctor has looked at. */
export interface Check {
  readonly name: "server" | "pgvector" | "role" | "schema" | "tenancy" | "bulk-load";
  readonly status: "ok" | "warning" | "error";
  readonly message: string;
  /** What to do about it: SQL, or a command. */
  readonly cure?: string;
}

export interface Diagnosis {
  readonly checks: readonly Check[];
  /** What the tenancy linter found, when tenancy is on. */
  readonly findings: readonly Finding[];
}

/** The first pgvector without the known faults of HNSW under vacuum and repair. */
const GOOD_VECTOR_VERSION = [0, 8, 4] as const;
const OLDEST_SERVER = 150_000;

/** Versions, the role, the schema, and with tenancy what the linter finds. Changes nothing. */
export async function examine(database: Database, layout: Layout): Promise<Diagnosis> {
  const state = await database.connection((session) => inspectSchema(session, layout));
  const tenancy = state.chunks.rowSecurity;
  const findings = tenancy ? await lintLayout(database, { ...layout, tenancy: "rls" }) : [];
  const checks = [
    server(state),
    vector(state),
    role(state, layout, tenancy),
    schema(state, { ...layout, tenancy: tenancy ? "rls" : "off" }),
    ...(state.chunks.exists ? [tenancyCheck(tenancy, findings)] : []),
    ...(state.registryExists ? await bulkLoadCheck(database, state.schema, layout) : []),
  ];
  return { checks, findings };
}

function server({ server: { version } }: SchemaState): Check {
  const text = `PostgreSQL ${Math.floor(version / 10_000)}.${version % 10_000}`;
  if (version >= OLDEST_SERVER) return { name: "server", status: "ok", message: text };
  return {
    name: "server",
    status: "warning",
    message: `${text} is older than what this library is tested with`,
    cure: "Upgrade to PostgreSQL 15 or later.",
  };
}

function vector(state: SchemaState): Check {
  const version = state.server.vector?.version;
  if (version === undefined) {
    return {
      name: "pgvector",
      status: "error",
      message: "pgvector is not installed in this database",
      cure: "create extension vector;",
    };
  }
  const parts = version.split(".").map(Number);
  const lower = GOOD_VECTOR_VERSION.findIndex((want, index) => (parts[index] ?? 0) !== want);
  const older = lower !== -1 && (parts[lower] ?? 0) < GOOD_VECTOR_VERSION[lower]!;
  if (!older) return { name: "pgvector", status: "ok", message: `pgvector ${version}` };
  return {
    name: "pgvector",
    status: "warning",
    message: `pgvector ${version} is older than ${GOOD_VECTOR_VERSION.join(".")}, which mends HNSW indexes under vacuum`,
    cure: "Upgrade the package, then: alter extension vector update;",
  };
}

function role({ role: { name, bypasses, canBecomeAppRole } }: SchemaState, layout: Layout, tenancy: boolean): Check {
  const label = `role ${JSON.stringify(name)}`;
  if (!bypasses) return { name: "role", status: "ok", message: `${label} is bound by row-level security` };
  const app = JSON.stringify(layout.appRole);
  if (!tenancy) {
    return {
      name: "role",
      status: "ok",
      message: `${label} is superuser or BYPASSRLS, which matters only with tenancy`,
    };
  }
  return canBecomeAppRole
    ? {
        name: "role",
        status: "warning",
        message: `${label} is superuser or BYPASSRLS: the store's calls switch to ${app} for each transaction`,
        cure: "Let applications log in as a role of their own.",
      }
    : {
        name: "role",
        status: "error",
        message: `${label} is superuser or BYPASSRLS and may not switch to ${app}: the store will not open`,
        cure: `grant ${layout.appRole ?? "the app role"} to ${name};`,
      };
}

function schema(state: SchemaState, layout: Layout): Check {
  const table = JSON.stringify(layout.table);
  if (!state.chunks.exists || state.activeModel === undefined) {
    return {
      name: "schema",
      status: "error",
      message: `there is no table ${table} of this library in the schema ${JSON.stringify(state.schema)}`,
      cure: "npx langchain-pgvector init",
    };
  }
  const steps = planSchema(state, layout, state.activeModel);
  if (steps.length === 0) return { name: "schema", status: "ok", message: `the schema of ${table} is current` };
  return {
    name: "schema",
    status: "error",
    message: `the schema of ${table} is not current; pending: ${steps.map((step) => step.name).join(", ")}`,
    cure: "npx langchain-pgvector init --plan",
  };
}

async function bulkLoadCheck(database: Database, inSchema: string, layout: Layout): Promise<Check[]> {
  const store = { database, schema: inSchema, options: { layout } };
  if (!(await mayReadRecords(store))) return [];
  const records = await readRecords(store);
  if (records.length === 0) return [];
  const what = records.map(({ kind, name }) => (kind === "index" ? `the index ${JSON.stringify(name)}` : "autovacuum"));
  if (!records.some(isAbandoned)) {
    return [
      { name: "bulk-load", status: "ok", message: `a bulk load is at work; at its end it restores ${what.join(", ")}` },
    ];
  }
  return [
    {
      name: "bulk-load",
      status: "warning",
      message: `a bulk load ended before it could restore ${what.join(", ")}`,
      cure: `npx langchain-pgvector doctor --fix --table ${layout.table}`,
    },
  ];
}

function tenancyCheck(on: boolean, findings: readonly Finding[]): Check {
  if (!on) return { name: "tenancy", status: "ok", message: "tenancy is off" };
  const errors = findings.filter(({ severity }) => severity === "error").length;
  const warnings = findings.length - errors;
  return {
    name: "tenancy",
    status: errors > 0 ? "error" : warnings > 0 ? "warning" : "ok",
    message: `tenancy is on; the linter found ${errors} errors and ${warnings} warnings`,
  };
}
