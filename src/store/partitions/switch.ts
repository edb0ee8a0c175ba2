import sql, { raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { quoteLiteral, quoteQualified } from "../../db/identifiers.js";
import { pause } from "../../db/pause.js";
import { administrationSettings } from "../../db/tenant-scope.js";
import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { DatabaseError } from "../../errors.js";
import type { OpenStore } from "../open.js";
import { awaitTableLock } from "../table-lock.js";
import { gateKey, insist, LOCK_TIMEOUT_MS, patiently, setLocal, transact } from "./locks.js";
import { MOVE_CHECK, MOVE_SETTING } from "./mirror.js";
import type { CheckedMoveOptions } from "./prepare.js";
import { endSql, lockSql, runScript, type Move } from "./target.js";
import { partitionSql, type PartitionTree } from "./tree.js";

const MAX_ATTEMPTS = 6;
/** Between two attempts, for the tenant's writes. */
const ATTEMPT_PAUSE_MS = 3_000;

export interface Switched {
  readonly rows: number;
  readonly writesBlockedMs: number;
  readonly readsBlockedMs: number;
}

/**
 * Puts the copy in the place of the tenant's rows in the shared partition. Rolls an attempt back when it would hold up
 * the tenant's writes for longer than it may, and tries again.
 *
 * @throws DatabaseError, retryable, when no attempt was fast enough.
 */
export async function switchToOwn(
  session: Session,
  store: OpenStore,
  tree: PartitionTree,
  move: Move,
  { maxWriteBlockMs, signal }: CheckedMoveOptions,
): Promise<Switched> {
  for (let attempt = 1; ; attempt += 1) {
    signal?.throwIfAborted();
    // There is no time for a vacuum once the tenant's writes are turned away.
    for (const { schema, name } of [tree.shared, move.target]) {
      await awaitTableLock(session, { schema, table: name }, { signal });
    }
    try {
      return await closeGate(session, store, move.tenant, maxWriteBlockMs, (began, deadline) =>
        switchWithin(session, store, tree, move, began, deadline),
      );
    } catch (error) {
      const sqlstate = sqlstateOf(error);
      const late = sqlstate === SQLSTATE.lockNotAvailable || sqlstate === SQLSTATE.queryCanceled;
      if (!late || signal?.aborted) throw error;
      if (attempt === MAX_ATTEMPTS) {
        throw new DatabaseError(
          `The tenant ${JSON.stringify(move.tenant)} could not be switched to its copy within ${maxWriteBlockMs} ms, in ` +
            `${attempt} attempts. Either a long transaction holds the table (see pg_stat_activity), or the shared partition takes ` +
            "long to read: then allow more with maxWriteBlockMs (--max-write-block-ms). The copy is kept; call this again.",
          sqlstate,
          true,
          { cause: error },
        );
      }
      await pause(ATTEMPT_PAUSE_MS, signal);
    }
  }
}

/** Runs `work` while writes of the tenant are turned away, once those that are under way have ended. */
async function closeGate<T>(
  session: Session,
  store: OpenStore,
  tenant: string,
  maxMs: number,
  work: (began: number, deadline: number) => Promise<T>,
): Promise<T> {
  const key = gateKey(store, tenant);
  const began = performance.now();
  await transact(session, { lock_timeout: `${Math.ceil(maxMs / 2)}ms` }, () =>
    session.execute({ name: "close-gate", sql: sql`select pg_advisory_lock(${key}::int8)` }),
  );
  try {
    return await work(began, began + maxMs);
  } finally {
    await insist(() => session.execute({ name: "open-gate", sql: sql`select pg_advisory_unlock(${key}::int8)` })).catch(
      () => undefined,
    );
  }
}

async function switchWithin(
  session: Session,
  store: OpenStore,
  tree: PartitionTree,
  move: Move,
  began: number,
  deadline: number,
): Promise<Switched> {
  const shared = partitionSql(tree.shared);
  const remaining = (): string => `${Math.max(1, Math.ceil(deadline - performance.now()))}ms`;
  const dropCheck = `alter table ${shared} drop constraint if exists ${MOVE_CHECK};\n`;
  // Attaching reads the whole shared partition under an exclusive lock, unless a check proves that it has no such rows.
  await runScript(session, "exclude-tenant", [], dropCheck + excludeSql(shared, move.tenant), { deadline });
  try {
    let locked = 0;
    const settings = {
      ...administrationSettings(move.tenant),
      [MOVE_SETTING]: move.target.name,
      lock_timeout: remaining(),
      statement_timeout: remaining(),
    };
    const rows = await transact(session, settings, async () => {
      const deleted = await session.execute({
        name: "leave-partition",
        sql: sql`delete from ${raw(shared)} where tenant_id = ${move.tenant}::text`,
      });
      await setLocal(session, { lock_timeout: remaining(), statement_timeout: remaining() });
      await session.execute({
        name: "validate-exclusion",
        sql: raw(`alter table ${shared} validate constraint ${MOVE_CHECK}`),
      });
      const moved = deleted.rowCount ?? 0;
      await checkCount(session, move, moved);
      await session.execute({ name: "savepoint", sql: raw("savepoint langchain_pgvector") });
      const lock = async (): Promise<void> => {
        await setLocal(session, { lock_timeout: `${LOCK_TIMEOUT_MS}ms`, statement_timeout: remaining() });
        locked = performance.now();
        try {
          await session.execute({ name: "lock-partitions", sql: raw(lockSql(store, [tree.shared, move.target])) });
        } catch (error) {
          await session.execute({ name: "rollback", sql: raw("rollback to savepoint langchain_pgvector") });
          throw error;
        }
      };
      // Readers have to come after the commit with their locks on the table itself: one that has already chosen the shared
      // partition, and waits for it, would find the tenant's rows gone.
      await patiently("attach-partition", lock, { deadline });
      await setLocal(session, { statement_timeout: remaining() });
      await session.execute({ name: "attach-partition", sql: raw(attachSql(store, tree, move)) });
      return moved;
    });
    const ended = performance.now();
    return { rows, writesBlockedMs: ended - began, readsBlockedMs: ended - locked };
  } catch (error) {
    // With the check in place the tenant's rows could neither change nor grow.
    await insist(() => runScript(session, "include-tenant", [tree.shared], dropCheck)).catch(() => undefined);
    throw error;
  }
}

function excludeSql(shared: string, tenant: string): string {
  return `alter table ${shared} add constraint ${MOVE_CHECK} check (tenant_id <> ${quoteLiteral(tenant)}) not valid;\n`;
}

function attachSql(store: OpenStore, tree: PartitionTree, move: Move): string {
  const table = quoteQualified(store.schema, store.options.layout.table);
  const attach = `alter table ${table} attach partition ${partitionSql(move.target)} for values in (${quoteLiteral(move.tenant)});\n`;
  return attach + endSql(store, move, [tree.shared]);
}

/** The last look before the old rows go: every one of them must be in the copy. */
async function checkCount(session: Session, move: Move, deleted: number): Promise<void> {
  const { rows } = await session.execute({
    name: "count-partition",
    sql: sql`select count(*)::float8 as rows from ${raw(partitionSql(move.target))} where tenant_id = ${move.tenant}::text`,
  });
  if (rows[0]!["rows"] === deleted) return;
  throw new DatabaseError(
    `The copy ${JSON.stringify(move.target.name)} has ${String(rows[0]!["rows"])} rows and the tenant ${deleted}; nothing was moved. ` +
      "Call tenants merge, which drops an unfinished copy, then isolate again.",
    undefined,
    false,
  );
}

/** What {@link switchToOwn} would run. */
export function switchSteps(
  store: OpenStore,
  tree: PartitionTree,
  move: Move,
): { readonly name: string; readonly sql: string }[] {
  const shared = partitionSql(tree.shared);
  return [
    { name: "exclude-tenant", sql: excludeSql(shared, move.tenant) },
    {
      name: "attach-partition",
      sql:
        `delete from ${shared} where tenant_id = ${quoteLiteral(move.tenant)};\n` +
        `alter table ${shared} validate constraint ${MOVE_CHECK};\n` +
        lockSql(store, [tree.shared, move.target]) +
        attachSql(store, tree, move),
    },
  ];
}
