import sql, { type Sql } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { qualified } from "../../db/identifiers.js";
import type { Settings } from "../../db/settings.js";
import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { EPOCH_FENCE, EPOCHS_TABLE } from "../../schema/layout.js";
import { SUPPLIED_SETTING } from "../../schema/vector-trigger.js";
import type { OpenStore } from "../open.js";

/**
 * A condition that holds while the store's models are what this process believes them to be, and raises an error else:
 * in the snapshot of the very statement that it is part of, on a replica in that of the replica. Looked at once.
 */
export function fence({ schema, options, models }: Pick<OpenStore, "schema" | "options" | "models">): Sql {
  const epoch = String(models.epoch);
  return sql`(
    select case when max(e.epoch) = ${epoch}::int8 then true
      else ${qualified(schema, EPOCH_FENCE)}(max(e.epoch), ${epoch}::int8) end
    from ${qualified(schema, EPOCHS_TABLE)} e where e.store = ${options.layout.table}::text)`;
}

/** Whether a statement was refused because the store's models have changed: nothing was done, it may come again. */
export function isStale(error: unknown): boolean {
  return sqlstateOf(error) === SQLSTATE.epochChanged;
}

/** The lock that writers share, and that whoever changes the models holds alone. */
export function modelLock({ schema, options }: Pick<OpenStore, "schema" | "options">): Sql {
  return sql`hashtextextended(${`langchain_pgvector models ${schema}.${options.layout.table}`}::text, 0)`;
}

/**
 * Keeps the models as they are until the transaction ends. To be called before the statement that writes, whose snapshot
 * then is younger than whatever change there was.
 */
export async function holdModels(session: Session, store: Pick<OpenStore, "schema" | "options">): Promise<void> {
  await session.execute({ name: "hold-models", sql: sql`select pg_advisory_xact_lock_shared(${modelLock(store)})` });
}

/** The settings of a transaction that supplies these vector columns with each content that it writes. */
export function supplying(settings: Settings, columns: readonly string[]): Settings {
  return { ...settings, [SUPPLIED_SETTING]: JSON.stringify(columns) };
}
