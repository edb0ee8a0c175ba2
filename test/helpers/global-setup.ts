import type { TestProject } from "vitest/node";
import { cleanServer, type PreparedServer, prepareServer } from "./fresh-database.js";
import { howToGetAServer, type ServerSource, startServer } from "./server.js";

declare module "vitest" {
  interface ProvidedContext {
    testServer: (PreparedServer & { readonly source: ServerSource }) | undefined;
  }
}

/** Finds or starts the server once for the whole run, and says on stderr which it is. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startServer();
  if (!server) {
    const reason =
      process.env["TEST_DATABASE_ENGINE"] === "embedded" ? "as TEST_DATABASE_ENGINE asks" : howToGetAServer;
    process.stderr.write(`test database: embedded; suites that need a server are skipped: ${reason}\n`);
    project.provide("testServer", undefined);
    return async () => {};
  }
  try {
    const prepared = await prepareServer(server.url);
    const { serverVersion, pgvectorVersion } = prepared;
    process.stderr.write(
      `test database: PostgreSQL ${serverVersion} with pgvector ${pgvectorVersion} (${server.source})\n`,
    );
    project.provide("testServer", { ...prepared, source: server.source });
    return async () => {
      if (server.source === "TEST_DATABASE_URL") await cleanServer(prepared);
      await server.stop();
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}
