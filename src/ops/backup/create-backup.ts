import { spawn } from "node:child_process";
import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { raw } from "sql-template-tag";
import type { Database, Session } from "../../db/database.js";
import { quoteQualified } from "../../db/identifiers.js";
import { EPOCHS_TABLE, MODELS_TABLE, REVISIONS_TABLE } from "../../schema/layout.js";
import { libraryVersion } from "./library-version.js";
import { readCatalog } from "./catalog.js";
import { checksumOf, textSettings, type RowsChecksum } from "./checksum.js";
import { checkDumpVersion, findTool, type ClientTool } from "./client-tools.js";
import { checkComplete } from "./completeness.js";
import { toolConnection, type ToolConnection } from "./connection.js";
import { withDatabase } from "./database.js";
import { verifyDump } from "./dump-rows.js";
import { writeFolder } from "./folder.js";
import { describeFiles, MANIFEST_FORMAT, type DatabaseManifest, type ManifestRelation } from "./manifest.js";
import { readModels } from "./models.js";
import { checkBackupOptions, type BackupOptions } from "./options.js";
import { findSchema, readStoredObjects, type BackupRelation, type StoredObjects } from "./relations.js";
import { readRoles, rolesScript } from "./roles.js";
import { dumpRows, withVectors } from "./rows-apart.js";
import { runTool } from "./run-tool.js";
import { sampleSearches, type SampleSearch } from "./searches.js";
import { readServer } from "./server-facts.js";

const DUMP = { custom: "stores.dump", directory: "stores" } as const;
const PROGRESS_MS = 2_000;

/**
 * Writes a backup of all stores of a schema: a dump of `pg_dump`, and a manifest that says what it must hold, read in the
 * snapshot that the dump is of. Takes no lock that writers wait for, and holds a snapshot for as long as it works.
 *
 * @throws TenantIsolationError when row-level security would hide rows from the role, before anything is dumped.
 * @throws ConfigurationError when `pg_dump` is missing or older than the server, or the folder is there.
 * @throws LoadError when the finished dump does not hold every row. Nothing is left after any error, nor after an abort.
 */
export async function createBackup(options: BackupOptions): Promise<DatabaseManifest> {
  checkBackupOptions(options);
  options.signal?.throwIfAborted();
  const connection = toolConnection(options.connectionString, options.environment ?? {});
  const dump = await findTool("pg_dump", options.pgBin, connection.environment);
  const restore = await findTool("pg_restore", options.pgBin, connection.environment);
  const psql = options.withoutEmbeddings ? await findTool("psql", options.pgBin, connection.environment) : undefined;
  return withDatabase(options, async (database) => {
    const server = await database.connection(readServer);
    checkDumpVersion(dump, server.version);
    return writeFolder(options.folder, async (folder) => {
      const manifest = await inSnapshot(database, options.signal, (session, snapshot) =>
        new Backup(options, session, snapshot, folder, connection, { dump, psql }).write(server),
      );
      if (options.verify ?? true) {
        options.onProgress?.("reading the backup to count its rows");
        const environment = { ...connection.environment };
        await verifyDump(restore, folder, DUMP[manifest.dumpFormat], manifest, environment, options.signal);
      }
      return { ...manifest, files: await describeFiles(folder, options.signal) };
    });
  });
}

/** Holds a snapshot open that `pg_dump` can take over. */
async function inSnapshot<T>(
  database: Database,
  signal: AbortSignal | undefined,
  work: (session: Session, snapshot: string) => Promise<T>,
): Promise<T> {
  return database.connection(async (session) => {
    await session.execute({ name: "begin", sql: raw("begin isolation level repeatable read read only") });
    try {
      const { rows } = await session.execute({
        name: "export-snapshot",
        sql: raw("select pg_export_snapshot() as name"),
      });
      return await work(session, rows[0]!["name"] as string);
    } finally {
      await session.execute({ name: "rollback", sql: raw("rollback") }).catch(() => undefined);
    }
  }, signal);
}

/** One backup at work, in its snapshot. */
class Backup {
  readonly #began = Date.now();

  constructor(
    readonly options: BackupOptions,
    readonly session: Session,
    readonly snapshot: string,
    readonly folder: string,
    readonly connection: ToolConnection,
    readonly tools: { readonly dump: ClientTool; readonly psql: ClientTool | undefined },
  ) {}

  async write(server: Awaited<ReturnType<typeof readServer>>): Promise<DatabaseManifest> {
    const { options, session } = this;
    const { schemaOnly = false, withoutEmbeddings = false, format = "custom" } = options;
    const schema = await findSchema(session, options.schema);
    const objects = await readStoredObjects(session, schema);
    const relations = schemaOnly ? objects.relations.filter(isRegistry) : objects.relations;
    const bound = await checkComplete(session, relations);
    const catalog = await readCatalog(session, objects);
    const roles = await readRoles(session, objects);
    await session.execute({ name: "backup-settings", sql: raw(textSettings(bound)) });
    await writeFile(join(this.folder, "roles.sql"), rolesScript(roles), { mode: 0o600 });
    // Either failing stops the other, or an error would wait for the end of a long dump.
    const failed = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, failed.signal]) : failed.signal;
    const give = (error: unknown): never => {
      failed.abort(error);
      throw error;
    };
    const [read, , rowFiles] = await Promise.all([
      this.#read(schema, relations, server.vector.schema, signal).catch(give),
      this.#dump(objects, bound, signal).catch(give),
      withoutEmbeddings ? this.#rowsApart(objects.relations, signal).catch(give) : [],
    ]);
    return {
      format: MANIFEST_FORMAT,
      kind: "database",
      takenAt: new Date(this.#began).toISOString(),
      seconds: (Date.now() - this.#began) / 1_000,
      library: libraryVersion(),
      files: [],
      database: this.connection.database,
      schema,
      schemaOwner: objects.schemaOwner,
      server,
      pgDump: this.tools.dump.version,
      dumpFormat: format,
      schemaOnly,
      withoutEmbeddings,
      tableBytes: objects.relations.reduce((sum, { bytes }) => sum + bytes, 0),
      relations: objects.relations.map((relation) => toManifest(relation, read.contents)),
      sequences: objects.sequences,
      functions: objects.functions,
      catalog,
      roles,
      models: read.models,
      searches: read.searches,
      rowFiles,
    };
  }

  async #read(schema: string, relations: readonly BackupRelation[], vectorSchema: string, signal: AbortSignal) {
    const vectors = !this.options.withoutEmbeddings;
    const contents = new Map<string, RowsChecksum>();
    for (const relation of relations.filter((one) => !one.partitioned)) {
      signal.throwIfAborted();
      contents.set(relation.oid, await checksumOf(this.session, relation, vectors));
    }
    const models = await readModels(this.session, schema, relations);
    const searches: SampleSearch[] = [];
    for (const model of vectors ? models : []) {
      signal.throwIfAborted();
      const table = relations.find(({ name }) => name === model.store)!;
      searches.push(...(await sampleSearches(this.session, table, model, vectorSchema)));
    }
    return { contents, models, searches };
  }

  async #dump(objects: StoredObjects, bound: boolean, signal: AbortSignal): Promise<void> {
    const { format = "custom", compress, jobs = 1, schemaOnly, withoutEmbeddings, onProgress } = this.options;
    const path = join(this.folder, DUMP[format]);
    const apart = withoutEmbeddings ? withVectors(objects.relations) : [];
    // Without its registry a schema would be nobody's.
    const empty = schemaOnly ? objects.relations.filter((relation) => !isRegistry(relation)) : [];
    const args = [
      `--format=${format}`,
      `--file=${path}`,
      `--snapshot=${this.snapshot}`,
      `--schema=${pattern(objects.schema)}`,
      "--no-password",
      "--verbose",
      ...(compress === undefined ? [] : [`--compress=${compress}`]),
      ...(jobs > 1 ? [`--jobs=${jobs}`] : []),
      ...(bound ? ["--enable-row-security"] : []),
      ...objects.foreign.map((name) => `--exclude-table=${name}`),
      ...[...apart, ...empty].map(({ name }) => `--exclude-table-data=${quoteQualified(objects.schema, name)}`),
    ];
    const child = spawn(this.tools.dump.path, args, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...this.connection.environment },
    });
    let table = "";
    const timer = setInterval(() => void report(), PROGRESS_MS);
    const report = async (): Promise<void> => {
      onProgress?.(
        `${table === "" ? "reading the catalog" : `dumping ${table}`}, ${mebibytes(await sizeOf(path))} written`,
      );
    };
    try {
      await runTool(child, {
        name: "pg_dump",
        secrets: this.connection.secrets,
        signal,
        onLine: (line) => void (table = /dumping contents of table "(.*)"/.exec(line)?.[1] ?? table),
      });
    } finally {
      clearInterval(timer);
    }
  }

  async #rowsApart(relations: readonly BackupRelation[], signal: AbortSignal) {
    const place = { psql: this.tools.psql!, folder: this.folder, connection: this.connection, signal };
    const files: DatabaseManifest["rowFiles"][number][] = [];
    for (const relation of withVectors(relations)) {
      files.push(await dumpRows(place, relation, files.length, this.snapshot));
      this.options.onProgress?.(`dumped the rows of ${relation.name} without their embeddings`);
    }
    return files;
  }
}

function toManifest(relation: BackupRelation, contents: ReadonlyMap<string, RowsChecksum>): ManifestRelation {
  // Both are of this database and this role.
  const { oid, bound: _bound, ...facts } = relation;
  const content = contents.get(oid);
  return { ...facts, ...(content && { content }) };
}

/** What says which stores there are, and is never of one tenant. */
function isRegistry({ name }: BackupRelation): boolean {
  return name === REVISIONS_TABLE || name === MODELS_TABLE || name === EPOCHS_TABLE;
}

/** A name as a pattern of `pg_dump` that means nothing but this name. */
function pattern(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || found.isFile()) return found?.size ?? 0;
  const files = await readdir(path).catch(() => []);
  const sizes = await Promise.all(files.map((name) => stat(join(path, name)).catch(() => undefined)));
  return sizes.reduce((sum, one) => sum + (one?.size ?? 0), 0);
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
