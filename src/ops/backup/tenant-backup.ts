import { createReadStream, createWriteStream } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { ConfigurationError } from "../../errors.js";
import type { TenantAdmin } from "../../store/tenants/admin.js";
import type { ExportRecord } from "../../store/tenants/export-record.js";
import { fromJsonLines, toJsonLine } from "../../store/tenants/jsonl.js";
import { writeFolder } from "./folder.js";
import { libraryVersion } from "./library-version.js";
import { checkFiles, describeFiles, MANIFEST_FORMAT, readManifest, type TenantManifest } from "./manifest.js";

const FILE = "tenant.jsonl.gz";

export interface TenantBackupOptions {
  readonly tenant: string;
  /** A new folder, or that of a backup. */
  readonly folder: string;
  readonly withoutEmbeddings?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with the chunks so far, now and then. */
  readonly onProgress?: ((chunks: number) => void) | undefined;
}

/** Writes one tenant's rows, page by page: suspend it first for a copy of one point in time. */
export async function backupTenant(admin: TenantAdmin, options: TenantBackupOptions): Promise<TenantManifest> {
  const { tenant, signal, withoutEmbeddings = false } = options;
  return writeFolder(options.folder, async (folder) => {
    const began = Date.now();
    let header: Extract<ExportRecord, { type: "header" }> | undefined;
    let chunks = 0;
    async function* lines(): AsyncGenerator<string> {
      for await (const record of admin.export(tenant, { signal })) {
        if (record.type === "header") header = record;
        if (record.type === "chunk" && (chunks += 1) % 1_000 === 0) options.onProgress?.(chunks);
        const left = record.type === "chunk" && withoutEmbeddings ? { ...record, embedding: null } : record;
        yield `${toJsonLine(left)}\n`;
      }
    }
    const file = createWriteStream(join(folder, FILE), { mode: 0o600 });
    await pipeline(Readable.from(lines()), createGzip(), file, { ...(signal && { signal }) });
    return {
      format: MANIFEST_FORMAT,
      kind: "tenant",
      takenAt: new Date(began).toISOString(),
      seconds: (Date.now() - began) / 1_000,
      library: libraryVersion(),
      files: await describeFiles(folder, signal),
      store: header!.store,
      tenant,
      chunks,
      withoutEmbeddings,
    };
  });
}

/**
 * Stores a tenant's backup as rows of a tenant, overwriting those of the same id.
 *
 * @returns the number of chunks.
 * @throws LoadError when the backup is cut off or changed, before anything is stored.
 */
export async function restoreTenant(admin: TenantAdmin, options: TenantBackupOptions): Promise<number> {
  const manifest = await readManifest(options.folder);
  if (manifest.kind !== "tenant") {
    throw new ConfigurationError(
      `${options.folder} is a backup of all stores of a schema; leave the tenant out to restore it.`,
    );
  }
  await checkFiles(options.folder, manifest, options.signal);
  const records = fromJsonLines(linesOf(join(options.folder, FILE)));
  return admin.import(options.tenant, records, { signal: options.signal, onProgress: options.onProgress });
}

/** Opened when the first line is asked for: lines that come before anybody listens are lost. */
async function* linesOf(path: string): AsyncGenerator<string> {
  const input = createReadStream(path).pipe(createGunzip());
  try {
    yield* createInterface({ input, crlfDelay: Infinity });
  } finally {
    input.destroy();
  }
}
