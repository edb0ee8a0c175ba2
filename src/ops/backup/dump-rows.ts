import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { createGunzip } from "node:zlib";
import { LoadError } from "../../errors.js";
import type { ClientTool } from "./client-tools.js";
import type { DatabaseManifest } from "./manifest.js";
import { runTool } from "./run-tool.js";

const LINE_FEED = 10;
const HEAD_BYTES = 4_096;
/** Names in quotes may hold anything. */
const COPY_LINE = /^COPY ((?:"(?:[^"]|"")+"|[^ ".]+)\.(?:"(?:[^"]|"")+"|[^ ".]+)) \(.*FROM stdin;$/;

/** Counts the rows that a dump holds, by reading all of it through `pg_restore`. @returns them by quoted table. */
export async function countDumpedRows(
  tool: ClientTool,
  path: string,
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  let table: string | undefined;
  let lines = 0;
  let head = "";
  /** The beginning of a line is all that is looked at; a vector's may have 50 kB. */
  const take = (piece: Buffer): void => {
    let from = 0;
    for (let end = piece.indexOf(LINE_FEED); end !== -1; end = piece.indexOf(LINE_FEED, from)) {
      if (head.length < HEAD_BYTES && (table === undefined || end - from + head.length <= 3)) {
        head += piece.toString("latin1", from, Math.min(end, from + HEAD_BYTES));
      } else {
        head += "....";
      }
      if (table === undefined) {
        const [, name] = COPY_LINE.exec(Buffer.from(head, "latin1").toString()) ?? [];
        if (name !== undefined) [table, lines] = [name, 0];
      } else if (head === "\\.") {
        counts.set(table, (counts.get(table) ?? 0) + lines);
        table = undefined;
      } else {
        lines += 1;
      }
      head = "";
      from = end + 1;
    }
    head += piece.toString("latin1", from, Math.min(piece.length, from + HEAD_BYTES));
  };
  const child = spawn(tool.path, ["--data-only", "--no-owner", "--file=-", path], {
    stdio: ["ignore", "pipe", "pipe"],
    env: environment,
  });
  await runTool(child, { name: "pg_restore", onStdout: take, signal });
  return counts;
}

/** Counts the lines of a compressed file of rows. */
export async function countFileRows(path: string, signal: AbortSignal | undefined): Promise<number> {
  let lines = 0;
  for await (const piece of createReadStream(path).pipe(createGunzip())) {
    signal?.throwIfAborted();
    const bytes = piece as Buffer;
    for (let at = bytes.indexOf(LINE_FEED); at !== -1; at = bytes.indexOf(LINE_FEED, at + 1)) lines += 1;
  }
  return lines;
}

/**
 * Reads a whole backup and holds its rows against the counts of the manifest.
 *
 * @throws LoadError naming a table of which rows are missing: a dump that ended well may still hold a part.
 */
export async function verifyDump(
  tool: ClientTool,
  folder: string,
  dump: string,
  manifest: Pick<DatabaseManifest, "relations" | "rowFiles">,
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<void> {
  const counts = await countDumpedRows(tool, join(folder, dump), environment, signal);
  for (const relation of manifest.relations) {
    if (relation.content === undefined || relation.partitioned) continue;
    const file = manifest.rowFiles.find((one) => one.relation === relation.name);
    const found = file ? await countFileRows(join(folder, file.path), signal) : (counts.get(relation.quoted) ?? 0);
    if (found === relation.content.rows) continue;
    throw new LoadError(
      `The dump holds ${found} of the ${relation.content.rows} rows of ${relation.name}, so it is no backup and was removed. ` +
        "A role that row-level security binds sees a part of the rows; see docs/backup.md.",
      relation.name,
    );
  }
}
