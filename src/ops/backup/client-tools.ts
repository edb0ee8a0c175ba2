import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { ConfigurationError } from "../../errors.js";
import { runTool } from "./run-tool.js";

export type ToolName = "pg_dump" | "pg_restore" | "psql";

/** A program of PostgreSQL's client package. */
export interface ClientTool {
  readonly path: string;
  /** As it prints it, such as `18.6`. */
  readonly version: string;
  readonly major: number;
}

/**
 * Finds a program in `folder`, else on the search path.
 *
 * @param environment of the program; its `PATH` is searched.
 * @throws ConfigurationError when it is not there, or does not say its version.
 */
export async function findTool(
  name: ToolName,
  folder: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<ClientTool> {
  const folders = folder === undefined ? (environment["PATH"] ?? "").split(delimiter) : [folder];
  const path = folders
    .filter((one) => one !== "")
    .map((one) => join(one, name))
    .find(isExecutable);
  if (path === undefined) {
    throw new ConfigurationError(
      `There is no ${name} ${folder === undefined ? "on the PATH" : `in ${folder}`}. Install PostgreSQL's client programs ` +
        "of the server's version (Debian: postgresql-client-18) and name their folder with --pg-bin.",
    );
  }
  let printed = "";
  await runTool(spawn(path, ["--version"], { stdio: ["ignore", "pipe", "pipe"], env: { ...environment } }), {
    name,
    onStdout: (piece) => void (printed += piece.toString()),
  });
  const [, version, major] = /\(PostgreSQL\) ((\d+)\S*)/.exec(printed) ?? [];
  if (version === undefined) throw new ConfigurationError(`${path} --version says ${JSON.stringify(printed.trim())}.`);
  return { path, version, major: Number(major) };
}

/** @throws ConfigurationError when the program is older than the server, which it then refuses or would dump wrongly. */
export function checkDumpVersion(tool: ClientTool, serverVersion: number): void {
  const server = Math.floor(serverVersion / 10_000);
  if (tool.major >= server) return;
  throw new ConfigurationError(
    `${tool.path} is version ${tool.version} and cannot dump a server of version ${server}. Install the client programs of ` +
      `version ${server} or later (Debian: postgresql-client-${server}) and name their folder with --pg-bin.`,
  );
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
