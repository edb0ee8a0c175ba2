import { spawn } from "node:child_process";
import { join } from "node:path";
import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Session } from "../../db/database.js";
import { ConfigurationError, LoadError } from "../../errors.js";
import { estimateSize } from "../size/estimate.js";
import type { ClientTool } from "./client-tools.js";
import type { ToolConnection } from "./connection.js";
import type { DatabaseManifest } from "./manifest.js";
import { runTool } from "./run-tool.js";
import { stageContents, type StagedContents } from "./toc.js";

/** What a restore will do, and what it needs. */
export interface RestorePlan {
  /** Roles that the cluster does not have. */
  readonly missingRoles: readonly string[];
  /** Those among them that log in: a backup has no passwords. */
  readonly loginsWithoutPassword: readonly string[];
  readonly tables: number;
  readonly rows: number;
  readonly indexes: number;
  /** Of the tables as they were, without indexes. */
  readonly tableBytes: number;
  /** A guess: rows at 20 MB a second, and the graphs as `size` estimates them on two cores. */
  readonly seconds: number;
  /** Tables that are in the way. */
  readonly existing: readonly string[];
}

const LOAD_BYTES_A_SECOND = 20e6;

/**
 * Compares a backup with the database that it is to go to. No effects.
 *
 * @throws ConfigurationError when the server, pgvector or the programs there are too old, a needed role cannot be made, or
 * the role that restores may not give tables to their owners.
 */
export async function planRestore(
  session: Session,
  manifest: DatabaseManifest,
  restore: ClientTool,
): Promise<RestorePlan> {
  const owners = [...new Set(manifest.relations.map(({ owner }) => owner))];
  const { rows } = await session.execute({
    name: "restore-plan",
    sql: sql`
      select current_setting('server_version_num')::int4 as version, current_user::text as me,
        (select jsonb_build_object('version', e.extversion, 'schema', n.nspname) from pg_extension e
          join pg_namespace n on n.oid = e.extnamespace where e.extname = 'vector') as installed,
        (select default_version from pg_available_extensions where name = 'vector') as available,
        array(select rolname::text from pg_roles where rolname = any(${new TextArrayParameter(manifest.roles.map(({ name }) => name))}::text[])) as roles,
        array(select rolname::text from pg_roles where rolname = any(${new TextArrayParameter(owners)}::text[])
          and not pg_has_role(current_user, oid, 'member')) as unreachable,
        array(select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where n.nspname = ${manifest.schema}::text and c.relname = any(${new TextArrayParameter(
            [...manifest.relations, ...manifest.sequences].map(({ name }) => name),
          )}::text[]) order by 1) as existing`,
  });
  const found = rows[0] as unknown as TargetFacts;
  checkVersions(found, manifest, restore);
  if (found.unreachable.length > 0) {
    throw new ConfigurationError(
      `The role ${JSON.stringify(found.me)} cannot make tables of ${found.unreachable.join(", ")}, who owned them. ` +
        "Restore as that role, as a member of it, or as a superuser.",
    );
  }
  const missing = manifest.roles.filter(({ name }) => !found.roles.includes(name));
  const builtIn = missing.filter(({ create }) => create === undefined).map(({ name }) => name);
  if (builtIn.length > 0) {
    throw new ConfigurationError(
      `The cluster has no role ${builtIn.join(", ")}, which was a superuser where the backup is from and is not made by a ` +
        "restore. Make it first, with createuser.",
    );
  }
  return {
    missingRoles: missing.map(({ name }) => name),
    loginsWithoutPassword: missing.filter(({ login }) => login).map(({ name }) => name),
    tables: manifest.relations.length,
    rows: manifest.relations.reduce((sum, { content }) => sum + (content?.rows ?? 0), 0),
    indexes: manifest.catalog.indexes.length,
    tableBytes: manifest.tableBytes,
    seconds: Math.ceil(manifest.tableBytes / LOAD_BYTES_A_SECOND + graphSeconds(manifest)),
    existing: found.existing,
  };
}

interface TargetFacts {
  readonly version: number;
  readonly me: string;
  readonly installed: { version: string; schema: string } | null;
  readonly available: string | null;
  readonly roles: readonly string[];
  readonly unreachable: readonly string[];
  readonly existing: readonly string[];
}

function checkVersions(found: TargetFacts, manifest: DatabaseManifest, restore: ClientTool): void {
  const [from, to] = [manifest.server.version, found.version].map((version) => Math.floor(version / 10_000));
  if (to! < from!) {
    throw new ConfigurationError(
      `The backup is of PostgreSQL ${from} and this server is ${to}; restore into version ${from} or later.`,
    );
  }
  const dumped = Number.parseInt(manifest.pgDump, 10);
  if (restore.major < dumped) {
    throw new ConfigurationError(
      `${restore.path} is version ${restore.version} and the dump was written by pg_dump ${manifest.pgDump}. Name the folder of ` +
        `the programs of version ${dumped} or later with --pg-bin.`,
    );
  }
  const { version, schema } = manifest.server.vector;
  const vector = found.installed?.version ?? found.available;
  if (vector === null || older(vector, version)) {
    throw new ConfigurationError(
      `The backup needs pgvector ${version}, and this server has ${vector ?? "none"}. Install it` +
        (found.installed === null ? "." : ", then run: alter extension vector update;"),
    );
  }
  if (found.installed !== null && found.installed.schema !== schema) {
    throw new ConfigurationError(
      `pgvector is in the schema ${JSON.stringify(found.installed.schema)} here and was in ${JSON.stringify(schema)}, by which ` +
        `the dump names it. Run: alter extension vector set schema ${schema};`,
    );
  }
}

function older(version: string, than: string): boolean {
  const [a = [], b = []] = [version, than].map((text) => text.split(".").map(Number));
  const at = a.findIndex((part, i) => part !== (b[i] ?? 0));
  return at !== -1 && a[at]! < (b[at] ?? 0);
}

/** Seconds that two cores need for the graphs on the vectors. */
function graphSeconds({ models, catalog }: DatabaseManifest): number {
  const graphs = catalog.indexes.filter(({ method }) => method === "hnsw");
  return models
    .filter(({ vectors, column }) => vectors > 0 && graphs.some(({ definition }) => definition.includes(column)))
    .map(({ vectors, dimensions, storageType }) => estimateSize({ vectors, dimensions, storageType }).buildSeconds)
    .reduce((sum, seconds) => sum + seconds, 0);
}

/**
 * The contents of a dump, in the order of a restore.
 *
 * @throws LoadError when a table of the manifest is not in it.
 */
export async function readContents(
  restore: ClientTool,
  folder: string,
  manifest: DatabaseManifest,
  connection: ToolConnection,
): Promise<StagedContents> {
  const path = join(folder, manifest.dumpFormat === "custom" ? "stores.dump" : "stores");
  let list = "";
  const child = spawn(restore.path, ["--list", path], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...connection.environment },
  });
  await runTool(child, { name: "pg_restore", onStdout: (piece) => void (list += piece.toString()) }).catch(
    (cause: unknown) => {
      throw new LoadError(`The dump cannot be read, nothing was restored: ${String(cause)}`, path, { cause });
    },
  );
  const contents = stageContents(list, manifest);
  const absent = manifest.relations.find(
    ({ name }) => !contents.structure.some((line) => line.includes(` TABLE ${manifest.schema} ${name} `)),
  );
  if (absent) throw new LoadError(`The dump has no table ${absent.name}, nothing was restored.`, path);
  return contents;
}
