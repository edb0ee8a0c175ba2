import sql from "sql-template-tag";
import type { Session } from "../db/database.js";
import { SQLSTATE, sqlstateOf } from "../db/sqlstate.js";
import { qualified, quoteQualified } from "../db/identifiers.js";
import { mayVacuum, type SecuredRelation } from "../schema/tenant-relations.js";
import type { OpenStore } from "./open.js";

const GIVES_UP: ReadonlySet<string> = new Set([SQLSTATE.queryCanceled, SQLSTATE.lockNotAvailable]);

export type Vacuumable = Pick<SecuredRelation, "name" | "vacuumable">;

/** One table, and whether the current role may vacuum it. */
export async function findVacuumable(session: Session, schema: string, table: string): Promise<Vacuumable[]> {
  const { rows } = await session.execute({
    name: "may-vacuum",
    sql: sql`
      select c.relname::text as name, ${mayVacuum} as vacuumable from pg_class c
      where c.oid = to_regclass(${quoteQualified(schema, table)}::text)`,
  });
  return rows as unknown as Vacuumable[];
}

/**
 * Makes the space of deleted rows reusable and removes their vectors from the indexes, where they stay until then.
 * One process, and without giving disk space back, since that takes a lock that searches would wait for.
 * Repairing an HNSW index takes about as long as building it anew; the role's `vacuum_cost_delay` makes it gentler still.
 *
 * @returns the names of the tables that were not vacuumed, because this role may not or its time-outs are too short;
 * autovacuum comes to them by itself, later.
 */
export async function vacuumRelations(
  store: OpenStore,
  relations: readonly Vacuumable[],
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const skipped: string[] = [];
  for (const relation of relations) {
    if (!relation.vacuumable) {
      skipped.push(relation.name);
      continue;
    }
    const table = qualified(store.schema, relation.name);
    const statement = {
      name: "vacuum",
      sql: sql`vacuum (analyze, index_cleanup on, truncate off, parallel 0) ${table}`,
    };
    await store.database.execute(statement, { signal }).catch((error: unknown) => {
      // A role may have a statement_timeout, which a vacuum cannot lift for itself; the rows are gone all the same.
      if (signal?.aborted || !GIVES_UP.has(sqlstateOf(error) ?? "")) throw error;
      skipped.push(relation.name);
    });
  }
  return skipped;
}
