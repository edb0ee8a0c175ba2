import { open, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Command } from "commander";
import { ConfigurationError } from "../../errors.js";
import { fromJsonLines, toJsonLine } from "../../store/tenants/jsonl.js";
import type { TenantAdmin } from "../../store/tenants/admin.js";
import type { CliContext } from "../context.js";
import { atLeast } from "../flags.js";
import { addTenantCommand, administer, count, slowly, type TenantFlags } from "./administer.js";

interface ExportFlags extends TenantFlags {
  readonly out?: string;
}

interface ImportFlags extends TenantFlags {
  readonly batchRows?: number;
}

/** `export` and `import`. */
export function addTenantsTransfer(tenants: Command, context: CliContext): void {
  addTenantCommand(tenants, "export <id>", "write a tenant's rows with their embeddings as JSON lines")
    .option("--out <file>", "a new file, readable by its owner only (default: stdout)")
    .addHelpText("after", "\nSuspend the tenant first for a copy of one point in time.")
    .action((id: string, flags: ExportFlags) =>
      administer(context, flags, id, (admin) => exportTo(context, admin, id, flags)),
    );
  addTenantCommand(tenants, "import <id> <file>", "store an export as rows of a tenant; - reads stdin")
    .option("--batch-rows <number>", "rows of one transaction (default: 500)", atLeast(1))
    .action((id: string, file: string, flags: ImportFlags) =>
      administer(context, flags, id, (admin) => importFrom(context, admin, id, file, flags)),
    );
}

async function exportTo(context: CliContext, admin: TenantAdmin, id: string, flags: ExportFlags): Promise<void> {
  if (flags.out === undefined) {
    if (flags.json) throw new ConfigurationError("An export is JSON lines on stdout; leave --json out, or add --out.");
    await writeExport(context, admin, id, async (line) => {
      context.write(line);
      await context.drained?.();
    });
    return;
  }
  const path = resolve(context.cwd, flags.out);
  const file = await open(path, "wx", 0o600).catch((cause: NodeJS.ErrnoException) => {
    const reason =
      cause.code === "EEXIST" ? "is there already; name a new file" : `cannot be written: ${cause.message}`;
    throw new ConfigurationError(`${path} ${reason}.`, { cause });
  });
  try {
    const chunks = await writeExport(context, admin, id, async (line) => void (await file.write(line)));
    context.out(
      flags.json ? JSON.stringify({ tenantId: id, chunks, file: path }) : `exported ${count(chunks, "chunk")}`,
    );
  } catch (error) {
    // Half an export is none, and import would say so only later.
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

/** Lines are written in pieces of about this many characters. */
const PIECE = 256 * 1024;

async function writeExport(
  context: CliContext,
  admin: TenantAdmin,
  id: string,
  write: (text: string) => Promise<void>,
): Promise<number> {
  const progress = slowly(context);
  let piece = "";
  let chunks = 0;
  for await (const record of admin.export(id, { signal: context.signal })) {
    context.signal.throwIfAborted();
    piece += `${toJsonLine(record)}\n`;
    if (record.type === "chunk") chunks += 1;
    if (piece.length < PIECE) continue;
    await write(piece);
    piece = "";
    progress(`${count(chunks, "chunk")} exported`);
  }
  await write(piece);
  return chunks;
}

async function importFrom(
  context: CliContext,
  admin: TenantAdmin,
  id: string,
  path: string,
  flags: ImportFlags,
): Promise<void> {
  const progress = slowly(context);
  const chunks = await admin.import(id, fromJsonLines(linesOf(context, path)), {
    batchRows: flags.batchRows,
    signal: context.signal,
    onProgress: (stored) => progress(`${count(stored, "chunk")} stored`),
  });
  context.out(flags.json ? JSON.stringify({ tenantId: id, chunks }) : `imported ${count(chunks, "chunk")}`);
}

async function* linesOf(context: CliContext, path: string): AsyncGenerator<string> {
  if (path === "-") {
    yield* createInterface({ input: process.stdin, crlfDelay: Infinity });
    return;
  }
  const file = await open(resolve(context.cwd, path)).catch((cause: Error) => {
    throw new ConfigurationError(`${path} cannot be read: ${cause.message}.`, { cause });
  });
  try {
    yield* file.readLines();
  } finally {
    await file.close();
  }
}
