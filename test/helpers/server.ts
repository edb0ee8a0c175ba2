import { startContainer } from "./container.js";
import { startNativeServer } from "./native-server.js";

export type ServerSource = "TEST_DATABASE_URL" | "testcontainers" | "native";

export interface RunningServer {
  readonly source: ServerSource;
  /** A superuser, or at least a role that may create databases and roles. */
  readonly url: string;
  /** Stops what was started here, and only that. */
  stop(): Promise<void>;
}

/**
 * Finds or starts a PostgreSQL with pgvector, for tests, benchmarks, scripts and examples alike: `TEST_DATABASE_URL`, then
 * a Docker engine, then native binaries. `undefined` when there is none, or when `TEST_DATABASE_ENGINE=embedded`.
 *
 * @param settings server settings by name, for a server that is started here
 * @throws Error when `TEST_DATABASE_ENGINE=server` and there is none
 */
export async function startServer(settings: Readonly<Record<string, string>> = {}): Promise<RunningServer | undefined> {
  const engine = process.env["TEST_DATABASE_ENGINE"];
  if (engine !== undefined && engine !== "" && engine !== "server" && engine !== "embedded") {
    throw new Error(`TEST_DATABASE_ENGINE is "${engine}"; it takes "server" or "embedded".`);
  }
  if (engine === "embedded") return undefined;
  const given = process.env["TEST_DATABASE_URL"];
  if (given) return { source: "TEST_DATABASE_URL", url: given, stop: async () => {} };
  const found = (await tryContainer(settings)) ?? (await tryNative(settings));
  if (!found && engine === "server") throw new Error(`TEST_DATABASE_ENGINE=server, but ${howToGetAServer}`);
  return found;
}

export const howToGetAServer =
  "no PostgreSQL with pgvector was found. Set TEST_DATABASE_URL, start Docker, or run scripts/install-postgres.sh " +
  "(Debian) or `brew install pgvector`; POSTGRES_BIN names a folder of binaries.";

async function tryContainer(settings: Readonly<Record<string, string>>): Promise<RunningServer | undefined> {
  try {
    const container = await startContainer(settings);
    return container && { source: "testcontainers", ...container };
  } catch (error) {
    process.stderr.write(`A Docker engine answers, but the container did not start: ${String(error)}\n`);
    return undefined;
  }
}

async function tryNative(settings: Readonly<Record<string, string>>): Promise<RunningServer | undefined> {
  const server = await startNativeServer(settings);
  return server && { source: "native", ...server };
}
