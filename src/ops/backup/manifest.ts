import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { ConfigurationError, LoadError } from "../../errors.js";
import type { CatalogFacts } from "./catalog.js";
import type { RowsChecksum } from "./checksum.js";
import type { StoredModel } from "./models.js";
import type { BackupRelation, StoredObjects } from "./relations.js";
import type { BackupRole } from "./roles.js";
import type { SampleSearch } from "./searches.js";

const FORMAT = "langchain-pgvector/backup/1";
const FILE = "manifest.json";

export interface BackupFile {
  /** Path within the folder of the backup. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** What every backup says about itself. */
interface ManifestBase {
  readonly format: typeof FORMAT;
  /** ISO 8601; the moment that the rows are of. */
  readonly takenAt: string;
  readonly seconds: number;
  readonly library: string;
  readonly files: readonly BackupFile[];
}

/** A table's facts, and its rows as the dump has them; neither when it has the schema alone. */
export type ManifestRelation = Omit<BackupRelation, "oid" | "bound"> & { readonly content?: RowsChecksum };

/** All stores of one schema. */
export interface DatabaseManifest extends ManifestBase {
  readonly kind: "database";
  readonly database: string;
  readonly schema: string;
  readonly schemaOwner: string;
  readonly server: { readonly version: number; readonly vector: { readonly version: string; readonly schema: string } };
  /** Version of the `pg_dump` that wrote it. */
  readonly pgDump: string;
  readonly dumpFormat: "custom" | "directory";
  readonly schemaOnly: boolean;
  readonly withoutEmbeddings: boolean;
  /** Of the tables, without their indexes. */
  readonly tableBytes: number;
  readonly relations: readonly ManifestRelation[];
  readonly sequences: StoredObjects["sequences"];
  readonly functions: StoredObjects["functions"];
  readonly catalog: CatalogFacts;
  readonly roles: readonly BackupRole[];
  readonly models: readonly StoredModel[];
  readonly searches: readonly SampleSearch[];
  /** Rows that `pg_dump` did not write: files of COPY lines, compressed. */
  readonly rowFiles: readonly {
    readonly relation: string;
    readonly path: string;
    readonly columns: readonly string[];
  }[];
}

/** One tenant of one store, as JSON lines. */
export interface TenantManifest extends ManifestBase {
  readonly kind: "tenant";
  readonly store: string;
  readonly tenant: string;
  readonly chunks: number;
  readonly withoutEmbeddings: boolean;
}

export type BackupManifest = DatabaseManifest | TenantManifest;

export const MANIFEST_FORMAT = FORMAT;
export const MANIFEST_FILE = FILE;

/** Sizes and hashes of all files of a folder but the manifest. Reads them whole. */
export async function describeFiles(folder: string, signal: AbortSignal | undefined): Promise<BackupFile[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files: BackupFile[] = [];
  for (const entry of entries.filter((one) => one.isFile() && one.name !== FILE)) {
    const path = join(entry.parentPath, entry.name);
    files.push({
      path: path.slice(folder.length + 1),
      bytes: (await stat(path)).size,
      sha256: await hashFile(path, signal),
    });
  }
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

async function hashFile(path: string, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash, { ...(signal && { signal }) });
  return hash.digest("hex");
}

/**
 * Reads the manifest of a backup.
 *
 * @throws ConfigurationError when the folder holds none, or one of a newer library.
 */
export async function readManifest(folder: string): Promise<BackupManifest> {
  let text: string;
  try {
    text = await readFile(join(folder, FILE), "utf8");
  } catch (cause) {
    throw new ConfigurationError(
      `There is no ${FILE} in ${folder}: it is no backup of langchain-pgvector, or one that did not come to its end.`,
      { cause },
    );
  }
  let manifest: { format?: unknown };
  try {
    manifest = JSON.parse(text) as { format?: unknown };
  } catch (cause) {
    throw new LoadError(`${join(folder, FILE)} is damaged or cut off.`, folder, { cause });
  }
  if (manifest.format !== FORMAT) {
    throw new ConfigurationError(
      `The backup has the format ${JSON.stringify(manifest.format)}; this library reads ${FORMAT}.`,
    );
  }
  return manifest as BackupManifest;
}

/** @throws LoadError naming the file that is missing, cut off or changed. */
export async function checkFiles(
  folder: string,
  manifest: BackupManifest,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const file of manifest.files) {
    const path = join(folder, file.path);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) throw damaged(path, "is missing");
    if (found.size < file.bytes) throw damaged(path, `is cut off: it has ${found.size} of ${file.bytes} bytes`);
    if (found.size > file.bytes || (await hashFile(path, signal)) !== file.sha256) {
      throw damaged(path, "is not what was written: its SHA-256 differs");
    }
  }
}

function damaged(path: string, what: string): LoadError {
  return new LoadError(`The backup is damaged, nothing was restored: ${path} ${what}. Take another copy of it.`, path);
}
