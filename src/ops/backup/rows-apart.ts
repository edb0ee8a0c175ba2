import { spawn } from "node:child_process";
import { createReadStream, createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { quoteIdentifier } from "../../db/identifiers.js";
import type { ClientTool } from "./client-tools.js";
import type { ToolConnection } from "./connection.js";
import type { DatabaseManifest } from "./manifest.js";
import type { BackupRelation } from "./relations.js";
import { runTool } from "./run-tool.js";

type RowFile = DatabaseManifest["rowFiles"][number];

interface Place {
  readonly psql: ClientTool;
  readonly folder: string;
  readonly connection: ToolConnection;
  readonly signal: AbortSignal | undefined;
}

/** Tables with embeddings, whose other columns are written apart when the embeddings are left out. */
export function withVectors(relations: readonly BackupRelation[]): BackupRelation[] {
  return relations.filter(({ partitioned, columns }) => !partitioned && columns.some(({ vector }) => vector));
}

/** Writes a table's rows without their embeddings, as they are in the snapshot. */
export async function dumpRows(
  place: Place,
  relation: BackupRelation,
  number: number,
  snapshot: string,
): Promise<RowFile> {
  const columns = relation.columns.filter(({ vector, generated }) => !vector && !generated).map(({ name }) => name);
  const path = `rows-${number}.copy.gz`;
  const child = psql(place, [
    "begin isolation level repeatable read read only",
    `set transaction snapshot '${snapshot}'`,
    `copy (select ${columns.map(quoteIdentifier).join(", ")} from only ${relation.quoted}) to stdout`,
  ]);
  const written = pipeline(
    child.stdout!,
    createGzip({ level: 6 }),
    createWriteStream(join(place.folder, path), { mode: 0o600 }),
  );
  await Promise.all([
    written,
    runTool(child, { name: "psql", secrets: place.connection.secrets, signal: place.signal }),
  ]);
  return { relation: relation.name, path, columns };
}

/** Loads a file of rows into its table, which has no row-level security yet. */
export async function restoreRows(place: Place, file: RowFile, quoted: string): Promise<void> {
  const child = psql(place, [`copy ${quoted} (${file.columns.map(quoteIdentifier).join(", ")}) from stdin`]);
  const sent = pipeline(createReadStream(join(place.folder, file.path)), createGunzip(), child.stdin!);
  // What psql says is the reason; that its input closed is not.
  const [, failed] = await Promise.all([
    sent.catch(() => undefined),
    runTool(child, { name: "psql", secrets: place.connection.secrets, signal: place.signal }).then(
      () => undefined,
      (error: unknown) => error,
    ),
  ]);
  if (failed !== undefined) throw failed;
}

function psql({ psql: tool, connection }: Place, commands: readonly string[]): ReturnType<typeof spawn> {
  const flags = ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"];
  return spawn(tool.path, [...flags, ...commands.flatMap((command) => ["--command", command])], {
    stdio: ["pipe", "pipe", "pipe"],
    env: connection.environment,
  });
}
