import pg from "pg";
import { ConfigurationError } from "../../errors.js";

/** Where PostgreSQL's programs connect to, as environment variables: nothing of it is in their arguments. */
export interface ToolConnection {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly database: string;
  /** Texts that no message may hold. */
  readonly secrets: readonly string[];
}

/** Query parameters of a connection string that libpq reads from a variable. */
const VARIABLES: Readonly<Record<string, string>> = {
  sslmode: "PGSSLMODE",
  sslrootcert: "PGSSLROOTCERT",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY",
  options: "PGOPTIONS",
  passfile: "PGPASSFILE",
};

/**
 * The environment with which `pg_dump` and its like connect to the same database as `pg` does. A password is handed over as
 * `PGPASSWORD`, which other users of the machine cannot see; without one, `PGPASSFILE` and `.pgpass` are theirs to read.
 *
 * @throws ConfigurationError when the connection string cannot be parsed; the message does not hold it.
 */
export function toolConnection(
  connectionString: string,
  environment: Readonly<Record<string, string | undefined>>,
): ToolConnection {
  let client: pg.Client;
  try {
    client = new pg.Client({ connectionString });
  } catch {
    throw new ConfigurationError(
      "The connection string cannot be read as a URL. Percent-encode special characters in the password (@ is %40, / is %2F).",
    );
  }
  const password = typeof client.password === "string" ? client.password : undefined;
  const { DATABASE_URL: _, ...rest } = environment;
  return {
    environment: {
      ...rest,
      ...parameters(connectionString),
      PGHOST: client.host,
      PGPORT: String(client.port),
      PGUSER: client.user,
      PGDATABASE: client.database,
      ...(password !== undefined && password !== "" && { PGPASSWORD: password }),
      PGAPPNAME: "langchain-pgvector",
      // Messages are searched for words.
      LC_ALL: "C",
    },
    database: client.database ?? "",
    secrets: password === undefined ? [] : [password, encodeURIComponent(password), connectionString],
  };
}

function parameters(connectionString: string): Record<string, string> {
  if (!URL.canParse(connectionString)) return {};
  const found: Record<string, string> = {};
  for (const [name, value] of new URL(connectionString).searchParams) {
    const variable = Object.hasOwn(VARIABLES, name) ? VARIABLES[name] : undefined;
    // Only node-postgres knows no-verify, and means what libpq calls require.
    if (variable !== undefined) found[variable] = name === "sslmode" && value === "no-verify" ? "require" : value;
  }
  return found;
}
