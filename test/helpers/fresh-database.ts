import { randomBytes } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { initFolder } from "./container.js";
import { testSchema } from "./test-schema.js";

/** What a run needs to make databases on one server. Plain data, so that it can be handed to worker processes. */
export interface PreparedServer {
  readonly url: string;
  readonly serverVersion: string;
  readonly pgvectorVersion: string;
  /** Start of the name of every database and role of this run. */
  readonly prefix: string;
  readonly template: string;
  /** A login that is a member of `langchain_pgvector_app` and nothing else. */
  readonly appUser: string;
  /** A login that works as `langchain_pgvector_owner`: may create in the database, is no superuser. */
  readonly ownerUser: string;
  readonly password: string;
}

/** Makes the template database and the logins of one run, with the SQL files that the container runs too. */
export async function prepareServer(url: string): Promise<PreparedServer> {
  const prefix = `lpv_${randomBytes(4).toString("hex")}`;
  const template = `${prefix}_template`;
  const password = randomBytes(16).toString("hex");
  const appUser = `${prefix}_app`;
  const ownerUser = `${prefix}_owner`;
  await withClient(url, (client) => client.query(`create database ${template}`));
  const versions = await withClient(withDatabase(url, template), async (client) => {
    await runInitFiles(client);
    // The password is hexadecimal, and utility statements take no parameters.
    await client.query(`create role ${appUser} login password '${password}' in role langchain_pgvector_app`);
    await client.query(`create role ${ownerUser} login password '${password}' in role langchain_pgvector_owner`);
    await client.query(`alter role ${ownerUser} set role = 'langchain_pgvector_owner'`);
    const { rows } = await client.query<{ server: string; vector: string }>(
      "select current_setting('server_version') as server, extversion as vector from pg_extension where extname = 'vector'",
    );
    return rows[0];
  });
  const serverVersion = versions?.server.split(" ")[0] ?? "unknown";
  const pgvectorVersion = versions?.vector ?? "none";
  return { url, serverVersion, pgvectorVersion, prefix, template, appUser, ownerUser, password };
}

/** Removes everything of the run: what a killed test left behind, the template and the logins. */
export async function cleanServer(server: PreparedServer): Promise<void> {
  await withClient(server.url, async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      "select datname from pg_database where starts_with(datname, $1)",
      [`${server.prefix}_`],
    );
    for (const { datname } of rows) await dropDatabase(client, datname);
    await client.query(`drop role if exists ${server.appUser}, ${server.ownerUser}`);
  });
}

export interface FreshDatabase {
  readonly name: string;
  readonly url: string;
  readonly appUrl: string;
  readonly ownerUrl: string;
  drop: () => Promise<void>;
}

export async function createFreshDatabase(server: PreparedServer): Promise<FreshDatabase> {
  const name = `${server.prefix}_${randomBytes(6).toString("hex")}`;
  await withClient(server.url, (client) => client.query(`create database ${name} template ${server.template}`));
  const url = withDatabase(server.url, name);
  // Privileges on the database itself are not copied from the template.
  await withClient(url, (client) => client.query(readFileSync(join(initFolder, privilegesFile), "utf8")));
  return {
    name,
    url,
    appUrl: withLogin(url, server.appUser, server.password),
    ownerUrl: withLogin(url, server.ownerUser, server.password),
    drop: () => withClient(server.url, (client) => dropDatabase(client, name)),
  };
}

/** On a busy machine the backends that `force` ends may need longer than the five seconds that Postgres gives them. */
async function dropDatabase(client: Client, name: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query(`drop database if exists ${name} with (force)`);
      return;
    } catch (error) {
      if ((error as { code?: unknown }).code !== "55006" || attempt === 10) throw error;
      await sleep(500);
    }
  }
}

const privilegesFile = "30-privileges.sql";

async function runInitFiles(client: Client): Promise<void> {
  const { extensionSchemaName } = testSchema();
  if (extensionSchemaName !== undefined) {
    const schema = client.escapeIdentifier(extensionSchemaName);
    await client.query(`create schema if not exists ${schema}; set search_path to ${schema}`);
    await client.query(`grant usage on schema ${schema} to public`);
  }
  const files = readdirSync(initFolder).filter((file) => file.endsWith(".sql"));
  for (const file of files.toSorted()) await client.query(readFileSync(join(initFolder, file), "utf8"));
}

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, application_name: "langchain-pgvector-tests" });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}

function withLogin(url: string, user: string, password: string): string {
  const changed = new URL(url);
  changed.username = user;
  changed.password = password;
  return changed.href;
}
