import pg from "pg";
import { openPool } from "../db/open-pool.js";
import type { Pool } from "../db/pool.js";
import { sqlstateOf } from "../db/sqlstate.js";
import { ConfigurationError, DatabaseError } from "../errors.js";

const CONNECT_TIMEOUT_MS = 10_000;

/** What to do about the failures that everybody meets, by the code of Node or Postgres. */
const CURES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Is the server running, and are host and port right?",
  ENOTFOUND: "Is the host's name right?",
  EAI_AGAIN: "Is the host's name right, and the network up?",
  ETIMEDOUT: "Is the host reachable from here?",
  "28P01": "Check user and password.",
  "28000": "Check user, password and the server's pg_hba.conf.",
  "3D000": "Create it with createdb, or correct the URL.",
  "53300": "Close other clients, or raise max_connections.",
};

/**
 * A pool whose connection failures say where they were connecting to (without the password), why it failed and what to do.
 *
 * @throws ConfigurationError when the URL cannot be parsed. No I/O.
 */
export function openServerPool(url: string, origin: string, label: string): Pool {
  const config = { connectionString: url, application_name: "langchain-pgvector" };
  try {
    // The pool parses only when it connects; the error of the parser holds the URL with its password.
    void new pg.Client(config);
  } catch {
    throw new ConfigurationError(
      `${origin} "${label}" cannot be read as a URL. Percent-encode special characters in the password (@ is %40, / is %2F).`,
    );
  }
  const pool = openPool({ ...config, max: 4, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  return {
    connect: () =>
      pool.connect().catch((error: unknown) => {
        throw connectionError(error, label);
      }),
    end: () => pool.end(),
  };
}

function connectionError(error: unknown, label: string): DatabaseError {
  // Node tries every address of a name and wraps the failures, without a message of its own.
  const reason: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const message = reason instanceof Error ? reason.message || reason.name : String(reason);
  const code = (reason as { code?: unknown } | undefined)?.code;
  const cure = typeof code === "string" && Object.hasOwn(CURES, code) ? ` ${CURES[code]}` : "";
  return new DatabaseError(`Cannot connect to ${label}: ${message}.${cure}`, sqlstateOf(reason), true, {
    cause: error,
  });
}
