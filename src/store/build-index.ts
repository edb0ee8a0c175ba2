import sql, { raw, type Sql } from "sql-template-tag";
import type { Session } from "../db/database.js";
import { qualified, quoteIdentifier, quoteQualified } from "../db/identifiers.js";
import { pause } from "../db/pause.js";
import { IndexBuildError } from "../errors.js";
import { awaitTableLock } from "./table-lock.js";

/** An index that is to be there. */
export interface WantedIndex {
  readonly schema: string;
  readonly table: string;
  readonly name: string;
  readonly unique?: boolean;
  /** What stands behind the table in `create index`, from `using` on. */
  readonly using: Sql;
  /** What an index of that name has to be when it is there; anything goes without it. */
  readonly expected?: IndexShape;
}

/** What tells apart two indexes that may have the same name. */
export interface IndexShape {
  readonly method: string;
  /** `null` for an expression. */
  readonly column: string | null;
  /** Such as `vector_cosine_ops`. */
  readonly opclass: string;
  /** Of a partial index, as Postgres prints it. */
  readonly predicate: string | null;
  /** Storage parameters that were asked for by name; others may differ. */
  readonly parameters: Readonly<Record<string, number>>;
}

export interface EnsureIndexOptions {
  /** Called while somebody else's statement has to end first. */
  readonly onWait?: ((message: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** `false` builds in one transaction that blocks writes, and is faster. @defaultValue true */
  readonly concurrently?: boolean | undefined;
}

const POLL_MS = 500;

/**
 * Builds an index with `create index concurrently` unless it is there; replaces the invalid remains of an interrupted
 * build, and waits for a build of the same index that is under way. Takes hours where there are many vectors, and blocks
 * nobody.
 *
 * @returns whether it had to be built.
 * @throws IndexBuildError when the build fails (its remains are removed), or something else has the name.
 */
export async function ensureIndex(
  session: Session,
  index: WantedIndex,
  options: EnsureIndexOptions = {},
): Promise<boolean> {
  const { signal, concurrently = true } = options;
  if (await isThere(session, index, options)) return false;
  try {
    await awaitTableLock(session, index, options);
    await session.execute({
      name: "create-index",
      sql: sql`create ${raw(index.unique ? "unique " : "")}index ${raw(concurrently ? "concurrently " : "")}${raw(quoteIdentifier(index.name))} on ${qualified(index.schema, index.table)} ${index.using}`,
    });
    return true;
  } catch (cause) {
    await removeRemains(session, index);
    signal?.throwIfAborted();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new IndexBuildError(
      `The index ${JSON.stringify(index.name)} on ${JSON.stringify(index.table)} was not built: ${reason}`,
      { cause },
    );
  }
}

/** Waits for another's build and drops what an interrupted one has left. @returns whether a valid index is there. */
async function isThere(session: Session, index: WantedIndex, options: EnsureIndexOptions): Promise<boolean> {
  for (;;) {
    const found = await findIndex(session, index);
    if (found.state === "absent") return false;
    if (found.state === "valid") return true;
    if (found.state === "invalid") {
      await dropIndex(session, index, options);
      return false;
    }
    options.onWait?.(`waiting for backend ${found.builder}, which is building ${index.name} already`);
    await pause(POLL_MS, options.signal);
  }
}

/** What is left of a failed build slows every write and serves no search. */
async function removeRemains(session: Session, index: WantedIndex): Promise<void> {
  // Twice, since a cancel request that came late may have hit the first statement.
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      if ((await findIndex(session, index)).state === "invalid") await dropIndex(session, index, {});
      return;
    } catch {
      // The next call finds it.
    }
  }
}

interface FoundIndex {
  readonly state: "absent" | "valid" | "invalid" | "building";
  /** Process id of the backend that builds it. */
  readonly builder?: number;
}

/** What has the index's name. @throws IndexBuildError when that is something else. */
export async function findIndex(session: Session, index: WantedIndex): Promise<FoundIndex> {
  const name = quoteQualified(index.schema, index.name);
  const table = quoteQualified(index.schema, index.table);
  const { rows } = await session.execute({
    name: "find-index",
    sql: sql`
      select coalesce(i.indrelid = to_regclass(${table}::text), false) as ours, i.indisvalid as valid,
        (select p.pid from pg_stat_progress_create_index p where p.index_relid = c.oid limit 1) as builder,
        a.amname::text as method, o.opcname::text as opclass, v.attname::text as column,
        pg_get_expr(i.indpred, i.indrelid) as predicate, c.reloptions as parameters
      from pg_class c
      left join pg_index i on i.indexrelid = c.oid
      left join pg_am a on a.oid = c.relam
      left join pg_opclass o on o.oid = i.indclass[0]
      left join pg_attribute v on v.attrelid = i.indrelid and v.attnum = i.indkey[0]
      where c.oid = to_regclass(${name}::text)`,
  });
  const row = rows[0] as unknown as FoundRow | undefined;
  if (row === undefined) return { state: "absent" };
  if (!row.ours) {
    throw new IndexBuildError(`The name ${name} belongs to another relation; set \`namespace\` to tell them apart.`);
  }
  if (index.expected !== undefined) checkShape(name, index.expected, row);
  if (row.valid) return { state: "valid" };
  return row.builder === null ? { state: "invalid" } : { state: "building", builder: row.builder };
}

interface FoundRow {
  ours: boolean;
  valid: boolean;
  builder: number | null;
  method: string;
  opclass: string;
  column: string | null;
  predicate: string | null;
  parameters: string[] | null;
}

/** @throws IndexBuildError when the index of that name is another one. */
function checkShape(name: string, expected: IndexShape, found: FoundRow): void {
  for (const key of ["method", "column", "opclass", "predicate"] as const) {
    if (found[key] === expected[key]) continue;
    throw new IndexBuildError(
      `There is an index ${name} already, and it is another one: its ${key} is ${String(found[key])}, not ` +
        `${String(expected[key])}. Set \`namespace\` for a second index, or drop that one.`,
    );
  }
  if (!found.valid) return;
  const parameters = new Map((found.parameters ?? []).map((text) => text.split("=") as [string, string]));
  for (const [key, value] of Object.entries(expected.parameters)) {
    const has = parameters.get(key);
    if (has === undefined || Number(has) === value) continue;
    throw new IndexBuildError(
      `The index ${name} is there with ${key} = ${has}, not ${value}. Change it online with ` +
        `store.indexes.rebuild(...) or: npx langchain-pgvector indexes rebuild, or set \`namespace\` for a second index.`,
    );
  }
}

/** Drops an index without holding up reads or writes. */
export async function dropIndex(
  session: Session,
  index: Pick<WantedIndex, "schema" | "table" | "name">,
  options: EnsureIndexOptions,
): Promise<void> {
  await awaitTableLock(session, index, options);
  await session.execute({
    name: "drop-index",
    sql: sql`drop index concurrently if exists ${qualified(index.schema, index.name)}`,
  });
}
