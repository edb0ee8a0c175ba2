import sql, { raw } from "sql-template-tag";
import type { Database, Session } from "../db/database.js";
import { SQLSTATE, sqlstateOf } from "../db/sqlstate.js";
import { DatabaseError, SchemaVersionError } from "../errors.js";
import { inspectSchema, type SchemaState } from "./inspect.js";
import type { Layout, ModelVersion } from "./layout.js";
import { planSchema, type PlanOptions, type SchemaStep } from "./plan.js";

/** One lock for every install in a database: `create extension` and the registry are shared between stores. */
const INSTALL_LOCK = 0x6c_63_70_67;
const LOCK_TIMEOUT = "2s";
const MAX_LOCK_ATTEMPTS = 30;

export interface EnsureOptions extends PlanOptions {
  /** Called with the name of each step after it has been committed. */
  readonly onStep?: (name: string) => void;
  /** Never run DDL; a schema that is not current is an error. */
  readonly readOnly?: boolean;
}

/**
 * Brings a store's schema up to date and returns its state. Runs no DDL and takes no lock when it is current, so a role
 * that may not run DDL can open a store. Safe to call from many processes at once: each step is one transaction under
 * an advisory lock, with a lock time-out of two seconds and retries, so that it never queues in front of live traffic.
 *
 * @param newModel asked for the model only when the table has to be created (it may have to probe the embedder).
 * @throws SchemaVersionError when steps are needed and this role, or `readOnly`, does not allow them.
 */
export async function ensureSchema(
  database: Database,
  layout: Layout,
  newModel: () => Promise<ModelVersion>,
  options: EnsureOptions = {},
): Promise<SchemaState> {
  let state = await database.connection((session) => inspectSchema(session, layout));
  const model = state.activeModel ?? (await newModel());
  if (planSchema(state, layout, model, options).length === 0) return state;
  for (;;) {
    const steps = planSchema(state, layout, model, options);
    if (steps.length === 0) return state;
    if (options.readOnly) {
      throw new SchemaVersionError(`The schema is not current and \`skipInitializationCheck\` is set. ${cure(steps)}`);
    }
    const applied = await applyNextStep(database, layout, model, options);
    if (applied) options.onStep?.(applied);
    state = await database.connection((session) => inspectSchema(session, layout));
  }
}

/** Plans again under the lock, since another process may have been faster, and applies the first step. */
async function applyNextStep(
  database: Database,
  layout: Layout,
  model: ModelVersion,
  options: PlanOptions,
): Promise<string | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    let steps: SchemaStep[] = [];
    try {
      return await database.transaction({ lock_timeout: LOCK_TIMEOUT }, async (session) => {
        await session.execute({ name: "install-lock", sql: sql`select pg_advisory_xact_lock(${INSTALL_LOCK}::int8)` });
        steps = planSchema(await inspectSchema(session, layout), layout, model, options);
        if (steps[0] === undefined) return undefined;
        await runScript(session, steps[0]);
        return steps[0].name;
      });
    } catch (error) {
      const sqlstate = sqlstateOf(error);
      if (sqlstate === SQLSTATE.insufficientPrivilege) {
        throw new SchemaVersionError(`This role may not create or migrate the schema. ${cure(steps)}`, {
          cause: error,
        });
      }
      if (sqlstate !== SQLSTATE.lockNotAvailable) throw error;
      if (attempt === MAX_LOCK_ATTEMPTS) {
        throw new DatabaseError(
          `Could not get the locks for ${steps[0]?.name ?? "the install"} within ${MAX_LOCK_ATTEMPTS} attempts of ` +
            `${LOCK_TIMEOUT}. A long transaction holds the table: find it in pg_stat_activity, then try again.`,
          sqlstate,
          true,
          { cause: error },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 200));
    }
  }
}

/** Runs a step of several statements; it carries no values, so it may travel as one script. */
async function runScript(session: Session, step: SchemaStep): Promise<void> {
  await session.execute({ name: step.name, sql: raw(step.sql) });
}

function cure(steps: readonly SchemaStep[]): string {
  const flags = steps.flatMap((step) => step.flags ?? []).map((flag) => ` ${flag}`);
  return (
    `Pending: ${steps.map((step) => step.name).join(", ")}. ` +
    `As the owner, run: npx langchain-pgvector init${flags.join("")} (add --plan to see the SQL first).`
  );
}
