import { describe, inject } from "vitest";
import { openDatabaseOn, openEmbeddedDatabase, type ServerTestDatabase, type TestDatabase } from "./open-database.js";

export type { EmbeddedTestDatabase, ServerTestDatabase, TestDatabase } from "./open-database.js";
export { testSchema } from "./test-schema.js";

/** A fresh database on the server of this run, or an embedded one in memory when the run has no server. */
export async function openTestDatabase(): Promise<TestDatabase> {
  return inject("testServer") ? openServerDatabase() : openEmbeddedDatabase();
}

/** Like {@link openTestDatabase}, for suites inside {@link describeServer}. */
export async function openServerDatabase(): Promise<ServerTestDatabase> {
  const server = inject("testServer");
  if (!server) throw new Error("This run has no database server; put the suite into describeServer().");
  return openDatabaseOn(server);
}

export { openEmbeddedDatabase } from "./open-database.js";

const hasServer = inject("testServer") !== undefined;
// These make suites and tests, and are none themselves.
/* oxlint-disable vitest/valid-describe-callback, vitest/valid-title, vitest/expect-expect, vitest/no-disabled-tests */
const describeWithServer = describe.skipIf(!hasServer);
const needsServer = "needs a PostgreSQL server, skipped on the embedded database";

/** A suite that runs on a server only; on the embedded database it shows as skipped, with the reason in its name. */
export function describeServer(name: string, suite: () => void): void {
  describeWithServer(hasServer ? name : `${name} (${needsServer})`, suite);
}
