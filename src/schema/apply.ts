import { raw } from "sql-template-tag";
import type { Database } from "../db/database.js";
import { pause } from "../db/pause.js";
import { SQLSTATE, sqlstateOf } from "../db/sqlstate.js";
import { DatabaseError } from "../errors.js";
import type { SchemaStep } from "./plan.js";

const LOCK_TIMEOUT = "2s";
const MAX_LOCK_ATTEMPTS = 30;

/**
 * Runs schema changes one after the other, each in a transaction of its own that gives up its place in the queue for a
 * lock after two seconds and comes back, so that it never holds up live traffic.
 *
 * @throws DatabaseError, retryable, when a long transaction holds a table for about a minute.
 */
export async function applySteps(database: Database, steps: readonly SchemaStep[]): Promise<void> {
  for (const step of steps) await applyStep(database, step);
}

async function applyStep(database: Database, step: SchemaStep): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await database.transaction({ lock_timeout: LOCK_TIMEOUT }, (session) =>
        session.execute({ name: step.name, sql: raw(step.sql) }),
      );
      return;
    } catch (error) {
      if (sqlstateOf(error) !== SQLSTATE.lockNotAvailable) throw error;
      if (attempt === MAX_LOCK_ATTEMPTS) {
        throw new DatabaseError(
          `${step.name}: no lock within ${MAX_LOCK_ATTEMPTS} attempts of ${LOCK_TIMEOUT}. A long transaction holds the ` +
            "table: find it in pg_stat_activity, then try again.",
          SQLSTATE.lockNotAvailable,
          true,
          { cause: error },
        );
      }
      await pause(50 + Math.random() * 200);
    }
  }
}
