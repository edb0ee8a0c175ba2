import type { Database } from "../../db/database.js";
import { inspectSchema, type SchemaState } from "../../schema/inspect.js";
import type { Layout } from "../../schema/layout.js";
import { findTenantRelations } from "../../schema/tenant-relations.js";
import { openStore, type OpenStore } from "../../store/open.js";
import { resolveOptions } from "../../store/options.js";
import { pageOf, type DoctorFinding } from "../../store/finding.js";
import { lintLayout } from "../tenancy-lint.js";
import { checkActivity } from "./check-activity.js";
import { checkBulkLoads } from "./check-bulk-load.js";
import { checkIndexes } from "./check-indexes.js";
import { deadPlaces, deadPlacesFinding } from "./check-lexical.js";
import { checkSchema } from "./check-schema.js";
import { checkServer } from "./check-server.js";
import { checkSettings } from "./check-settings.js";
import { checkTables } from "./check-tables.js";
import { fromLint } from "./check-tenancy.js";
import { DOCTOR_LIMITS, type DoctorLimits } from "./limits.js";
import { takeSnapshot, type Snapshot } from "./snapshot.js";

/** What the doctor found about an installation. */
export interface Diagnosis {
  /** What it looked at, a line each. */
  readonly facts: readonly string[];
  /** Errors first; none in a healthy installation. */
  readonly findings: readonly DoctorFinding[];
  /** What this role could not see, and what would show it. */
  readonly unseen: readonly { readonly what: string; readonly cure: string }[];
}

export interface ExamineOptions {
  /** The role that applications work as where tenancy is off; with tenancy it is the layout's. */
  readonly appRole?: string | undefined;
  readonly limits?: Partial<DoctorLimits> | undefined;
}

/** Everything from the server's versions to the rows of the lexical index. Changes nothing. */
export async function examine(database: Database, layout: Layout, options: ExamineOptions = {}): Promise<Diagnosis> {
  const { state, tenancy } = await readState(database, layout);
  const effective = withTenancy(layout, tenancy, options.appRole);
  const limits = { ...DOCTOR_LIMITS, ...options.limits };
  const snapshot = await database.connection((session) => takeSnapshot(session, effective, state, limits));
  const schema = checkSchema(snapshot);
  const loads = state.registryExists ? await checkBulkLoads(database, state.schema, effective) : undefined;
  const lint = tenancy && state.chunks.exists ? (await lintLayout(database, effective)).map(fromLint) : [];
  const findings = [
    ...checkServer(snapshot),
    ...checkSettings(snapshot),
    ...schema,
    ...lint,
    ...checkIndexes(snapshot).filter(({ id }) => id !== "index-missing" || !loads?.indexes),
    ...checkTables(snapshot).filter(({ id }) => id !== "autovacuum-disabled" || !loads?.autovacuum),
    ...checkActivity(snapshot),
    ...(loads?.findings ?? []),
  ];
  const unseen = [...unseenOf(snapshot)];
  if (state.lexical !== undefined && schema.length === 0 && !lint.some(({ severity }) => severity === "error")) {
    const store = await openAsAdministrator(database, effective);
    const dead = await deadPlaces(store, limits);
    if (dead === undefined) {
      unseen.push({
        what: "dead chunks in the lexical indexes of all tenants",
        cure: "Run doctor as the role that owns the tables.",
      });
    } else findings.push(...deadPlacesFinding(dead, layout.table));
  }
  return { facts: factsOf(snapshot, tenancy), findings: sorted(findings), unseen };
}

/** A table that has the policies keeps tenants apart, even where they are not in force. */
async function readState(database: Database, layout: Layout): Promise<{ state: SchemaState; tenancy: boolean }> {
  return database.connection(async (session) => {
    const state = await inspectSchema(session, layout);
    const secured = await findTenantRelations(session, state.schema, layout.table);
    return { state, tenancy: state.chunks.rowSecurity || secured.length > 0 };
  });
}

function withTenancy(layout: Layout, tenancy: boolean, appRole: string | undefined): Layout {
  return tenancy ? { ...layout, tenancy: "rls" } : { ...layout, tenancy: "off", appRole };
}

/** The layout with the tenancy that the database has. */
export async function tenancyOf(database: Database, layout: Layout, appRole: string | undefined): Promise<Layout> {
  const { tenancy } = await readState(database, layout);
  return withTenancy(layout, tenancy, appRole);
}

/** The store without an embedder, as the role of the connection. */
export async function openAsAdministrator(database: Database, layout: Layout): Promise<OpenStore> {
  const options = resolveOptions({ pool: database.pool, tableName: layout.table, tenancy: layout.tenancy });
  return openStore(database, { ...options, layout }, undefined, { mustExist: true });
}

const ORDER = { error: 0, warning: 1, note: 2 } as const;

function sorted(findings: readonly DoctorFinding[]): DoctorFinding[] {
  const distinct = new Map(
    findings.map((found) => [`${found.id} ${found.object}`, { ...found, page: pageOf(found.id) }]),
  );
  return [...distinct.values()].toSorted((a, b) => ORDER[a.severity] - ORDER[b.severity]);
}

function factsOf({ state, server, layout, tables, indexes }: Snapshot, tenancy: boolean): string[] {
  const { version, vector } = state.server;
  const { name, bypasses } = state.role;
  return [
    `PostgreSQL ${Math.floor(version / 10_000)}.${version % 10_000}${server.standby ? ", a standby" : ""}`,
    ...(vector === undefined ? [] : [`pgvector ${vector.version}`]),
    `role ${JSON.stringify(name)} ${bypasses ? "passes row-level security by" : "is bound by row-level security"}`,
    ...(state.chunks.exists
      ? [
          `table ${JSON.stringify(layout.table)} in the schema ${JSON.stringify(state.schema)}, ${tables.length} tables and ${indexes.length} indexes`,
          `tenancy is ${tenancy ? "on" : "off"}`,
        ]
      : []),
  ];
}

function unseenOf({ server, activity, tables }: Snapshot): Diagnosis["unseen"] {
  const role = server.role;
  const unseen: { what: string; cure: string }[] = [];
  if (!server.monitors) {
    unseen.push({
      what: "transactions and statements of other roles, and how far standbys are",
      cure: `grant pg_monitor to "${role.replaceAll('"', '""')}";`,
    });
  }
  if (activity.statements === undefined) {
    unseen.push({
      what: "times of statements",
      cure: "-- with pg_stat_statements in shared_preload_libraries: create extension pg_stat_statements;",
    });
  }
  if (tables.some(({ bytes, rowBytes, live }) => bytes > 0 && live > 0 && rowBytes === 0)) {
    unseen.push({
      what: "bloat of tables whose statistics row-level security hides",
      cure: "Run doctor as a superuser.",
    });
  }
  return unseen;
}
