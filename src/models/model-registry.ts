import sql from "sql-template-tag";
import { qualified, quoteLiteral, quoteQualified } from "../db/identifiers.js";
import { ConfigurationError } from "../errors.js";
import { EPOCHS_TABLE, MODELS_TABLE } from "../schema/layout.js";
import type { ModelState } from "../schema/layout.js";
import type { OpenStore } from "../store/open.js";
import type { LiveVersion } from "../store/versions/store-models.js";
import { vectorFunctionSql } from "../schema/vector-trigger.js";

/** A version of the store that is written to. @throws ConfigurationError, naming those that are, when it is none. */
export function liveVersion(store: OpenStore, number: number | undefined): LiveVersion {
  const { live } = store.models;
  const found =
    number === undefined
      ? live.findLast(({ state }) => state === "building" || state === "ready")
      : live.find(({ version }) => version === number);
  if (found !== undefined) return found;
  const known = live.map(({ version, state, fingerprint }) => `${version} (${state}, ${fingerprint})`).join(", ");
  throw new ConfigurationError(
    number === undefined
      ? `No model version is being added to ${JSON.stringify(store.options.layout.table)}; it has ${known}. Begin with: models add`
      : `${JSON.stringify(store.options.layout.table)} has no model version ${number}; it has ${known}.`,
  );
}

/** The version that searches use. */
export function activeVersion(store: OpenStore): LiveVersion {
  return store.models.live.find(({ state }) => state === "active")!;
}

/** The highest number that a version of the store has had. */
export async function highestVersion(store: OpenStore): Promise<number> {
  const { rows } = await store.database.execute({
    name: "highest-model",
    sql: sql`
      select max(version) as version from ${qualified(store.schema, MODELS_TABLE)}
      where store = ${store.options.layout.table}::text`,
  });
  return rows[0]!["version"] as number;
}

/** SQL that takes the lock which writers share; with `lock_timeout`, or it would hold them up. */
export function lockModelsSql(store: OpenStore): string {
  const name = quoteLiteral(`langchain_pgvector models ${store.schema}.${store.options.layout.table}`);
  return `select pg_advisory_xact_lock(hashtextextended(${name}, 0));\n`;
}

/** SQL that ends the epoch: every statement that was made in it is refused from then on, and made anew. */
export function endEpochSql(store: OpenStore): string {
  return (
    `update ${quoteQualified(store.schema, EPOCHS_TABLE)} set epoch = epoch + 1 ` +
    `where store = ${quoteLiteral(store.options.layout.table)};\n`
  );
}

export function setStateSql(store: OpenStore, version: number, state: ModelState): string {
  return (
    `update ${quoteQualified(store.schema, MODELS_TABLE)} set state = ${quoteLiteral(state)} ` +
    `where store = ${quoteLiteral(store.options.layout.table)} and version = ${version};\n`
  );
}

/** SQL that has the trigger look after the columns of these versions. */
export function guardColumnsSql(store: OpenStore, columns: readonly string[]): string {
  return vectorFunctionSql({
    schema: store.schema,
    table: store.options.layout.table,
    content: store.options.layout.columns.content,
    columns,
    extensionSchema: store.server.vector.schema,
  });
}
