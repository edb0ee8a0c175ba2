/**
 * The container that tests start through a Docker engine. docker-compose.yml says the same to people;
 * test/unit/compose.test.ts compares the two.
 */
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const containerImage = "pgvector/pgvector:0.8.6-pg18-trixie";
export const containerPort = 5432;
export const containerSettingsFile = "/etc/postgresql/postgresql.conf";
export const containerInitFolder = "/docker-entrypoint-initdb.d";
export const containerCommand = ["postgres", "-c", `config_file=${containerSettingsFile}`];
/** Bytes of /dev/shm: a parallel index build shares its graph there. */
export const containerSharedMemory = 1024 ** 3;

const repository = fileURLToPath(new URL("../../", import.meta.url));
export const settingsPath = join(repository, "docker/postgresql.conf");
export const initFolder = join(repository, "docker/init");

export interface StartedContainer {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts the container, or gives `undefined` within two seconds when no Docker engine answers. */
export async function startContainer(
  settings: Readonly<Record<string, string>> = {},
): Promise<StartedContainer | undefined> {
  if (!(await dockerAnswers())) return undefined;
  const { PostgreSqlContainer } = await import("@testcontainers/postgresql");
  const container = await new PostgreSqlContainer(containerImage)
    .withSharedMemorySize(containerSharedMemory)
    .withCommand([
      ...containerCommand,
      ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ])
    .withCopyFilesToContainer([{ source: settingsPath, target: containerSettingsFile, mode: 0o644 }])
    .withCopyDirectoriesToContainer([{ source: initFolder, target: containerInitFolder }])
    .start();
  return {
    url: container.getConnectionUri(),
    stop: async () => void (await container.stop()),
  };
}

/** Knocks at the engine's door first: the client library itself waits long for an engine that is not there. */
async function dockerAnswers(): Promise<boolean> {
  const host = process.env["DOCKER_HOST"];
  if (host?.startsWith("tcp://")) {
    const { hostname, port } = new URL(host);
    return opens({ host: hostname, port: Number(port || 2375) });
  }
  const sockets = host?.startsWith("unix://")
    ? [host.slice("unix://".length)]
    : [
        "/var/run/docker.sock",
        join(process.env["XDG_RUNTIME_DIR"] ?? "/nonexistent", "docker.sock"),
        join(homedir(), ".docker/run/docker.sock"),
        join(homedir(), ".docker/desktop/docker.sock"),
      ];
  for (const path of sockets) {
    if (existsSync(path) && (await opens({ path }))) return true;
  }
  return false;
}

function opens(address: { host: string; port: number } | { path: string }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address);
    const answer = (open: boolean): void => {
      socket.destroy();
      resolve(open);
    };
    socket.setTimeout(1_500, () => answer(false));
    socket.once("connect", () => answer(true));
    socket.once("error", () => answer(false));
  });
}
