import { raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { administrationSettings } from "../../db/tenant-scope.js";
import { quoteIdentifier } from "../../db/identifiers.js";
import type { Settings } from "../../db/settings.js";
import { ConfigurationError } from "../../errors.js";
import type { SchemaStep } from "../../schema/plan.js";
import { ensureIndex, type WantedIndex } from "../build-index.js";
import type { OpenStore } from "../open.js";
import { partIndexName } from "../partition-index.js";
import { integer } from "../options.js";
import { compareRows, copyRows, countSources } from "./copy.js";
import { abandon, beginSql, runScript, type Move } from "./target.js";
import { partitionSql, type Partition, type PartitionTree } from "./tree.js";
import type { UnfinishedMove } from "./unfinished.js";

export interface MoveOptions {
  /** Rows copied in one transaction. @defaultValue 1,000 */
  batchRows?: number | undefined;
  /** Pause between two of them, in milliseconds. @defaultValue 10 */
  pauseMs?: number | undefined;
  /**
   * How long the tenant's writes may wait at the end, in milliseconds. What would take longer is rolled back, and tried
   * again later.
   * @defaultValue 5,000
   */
  maxWriteBlockMs?: number | undefined;
  /** Whether the partition that the rows leave is vacuumed at the end. @defaultValue true */
  vacuum?: boolean | undefined;
  onProgress?: ((progress: MoveProgress) => void) | undefined;
  /** Stops; the copy stays, still following every change, and another call goes on. */
  signal?: AbortSignal | undefined;
}

export interface MoveProgress {
  readonly phase: "copying" | "indexing" | "comparing" | "switching" | "vacuuming";
  /** Rows copied by this call so far, and those that there were when it began. */
  readonly copied: number;
  readonly total: number;
  readonly message: string;
}

/** What came of moving a tenant between partitions. */
export interface MovedTenant {
  readonly tenantId: string;
  /** The partition that has the tenant's rows now. */
  readonly partition: string;
  /** Whether it was moved now; false when it was there already. */
  readonly moved: boolean;
  readonly rows: number;
  /** Milliseconds for which the tenant's writes waited at the end. */
  readonly writesBlockedMs: number;
  /** Milliseconds, among those, for which all statements on the table waited. */
  readonly readsBlockedMs: number;
}

/** What moving a tenant would do. */
export interface MovePlan {
  readonly tenantId: string;
  /** Rows and bytes that would be copied; 0 when there is nothing to do. */
  readonly rows: number;
  readonly bytes: number;
  /** In order; empty when there is nothing to do. */
  readonly steps: readonly SchemaStep[];
}

/** {@link MoveOptions}, checked. */
export interface CheckedMoveOptions extends MoveOptions {
  readonly batchRows: number;
  readonly pauseMs: number;
  readonly maxWriteBlockMs: number;
}

export function checkMoveOptions(options: MoveOptions): CheckedMoveOptions {
  return {
    ...options,
    batchRows: integer("batchRows", options.batchRows, 1, 100_000) ?? 1_000,
    pauseMs: integer("pauseMs", options.pauseMs, 0, 60_000) ?? 10,
    maxWriteBlockMs: integer("maxWriteBlockMs", options.maxWriteBlockMs, 500, 3_600_000) ?? 5_000,
  };
}

/** The scope in which the role sees the rows of a move: the one tenant's, or as the tables' owner all of them. */
export function moveSettings(move: Pick<Move, "kind" | "tenant">): Settings {
  return move.kind === "isolate" ? administrationSettings(move.tenant) : {};
}

/** @throws ConfigurationError when another tenant's move has not come to its end. */
export function checkUnfinished(unfinished: UnfinishedMove | undefined, tenant: string): void {
  if (unfinished === undefined || unfinished.tenant === tenant) return;
  const [again, back] = unfinished.kind === "isolate" ? ["isolate", "merge"] : ["merge", "isolate"];
  const id = JSON.stringify(unfinished.tenant);
  throw new ConfigurationError(
    `Moving the tenant ${id} was interrupted. Finish that first with: tenants ${again} ${id}, or take it back with: tenants ${back} ${id}`,
  );
}

/** Whether an unfinished copy is as a new one would be, so that copying can go on. */
export function canResume(unfinished: UnfinishedMove, tree: PartitionTree, sources: readonly Partition[]): boolean {
  return (
    same(unfinished.columns, tree.columns) &&
    same(
      unfinished.sources,
      sources.map(({ name }) => name),
    )
  );
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.toSorted().join("\0") === b.toSorted().join("\0");
}

/**
 * Brings the copy to where only the switch is left: makes it or goes on with the one that is there, copies, builds its
 * indexes and compares it. Nobody waits for this longer than for a lock.
 */
export async function prepareCopy(
  session: Session,
  store: OpenStore,
  tree: PartitionTree,
  wanted: Move,
  unfinished: UnfinishedMove | undefined,
  options: CheckedMoveOptions,
): Promise<{ move: Move; report: (phase: MoveProgress["phase"], message: string) => void }> {
  const { onProgress, signal } = options;
  const resumed = unfinished !== undefined && canResume(unfinished, tree, wanted.sources);
  if (unfinished !== undefined && !resumed) await abandon(session, store, tree, unfinished);
  const move = resumed ? { ...wanted, target: unfinished.target } : wanted;
  if (!resumed) await runScript(session, "begin-move", move.sources, beginSql(store, tree, move), { signal });

  const settings = moveSettings(move);
  const total = await countSources(session, move, settings);
  let copied = 0;
  const report = (phase: MoveProgress["phase"], message: string): void =>
    onProgress?.({ phase, copied, total, message });
  for (const source of move.sources) {
    for await (const rows of copyRows(session, store, tree, move, source, { ...options, signal, settings })) {
      copied += rows;
      report("copying", `${copied.toLocaleString("en")} of ${total.toLocaleString("en")} rows copied`);
    }
  }
  for (const index of copyIndexes(store, tree, move)) {
    signal?.throwIfAborted();
    report("indexing", `building ${index.name}`);
    await ensureIndex(session, index);
  }
  signal?.throwIfAborted();
  await session.execute({ name: "analyze-partition", sql: raw(`analyze ${partitionSql(move.target)}`) });
  report("comparing", "comparing the copy with what is there");
  await compareRows(session, store, tree, move, settings);
  signal?.throwIfAborted();
  return { move, report };
}

/** The indexes that the copy needs before it is attached, or attaching it would build them while everyone waits. */
export function copyIndexes(store: OpenStore, tree: PartitionTree, { target }: Move): WantedIndex[] {
  return tree.indexes.map(({ name, unique, using }) => ({
    schema: target.schema,
    table: target.name,
    name: partIndexName(store.options.layout.table, name, target.name),
    unique,
    using: raw(using),
  }));
}

/** What {@link prepareCopy} would run. */
export function prepareSteps(store: OpenStore, tree: PartitionTree, move: Move): SchemaStep[] {
  const target = partitionSql(move.target);
  const where = move.kind === "isolate" ? " where tenant_id = the tenant" : "";
  return [
    { name: "begin-move", sql: beginSql(store, tree, move) },
    ...move.sources.map((source) => ({
      name: "copy-to-partition",
      sql: `-- in batches, each in a transaction of its own:\n-- insert into ${target} select * from ${partitionSql(source)}${where} for share\n`,
    })),
    ...copyIndexes(store, tree, move).map((index) => ({
      name: "create-index",
      sql: `create ${index.unique ? "unique " : ""}index concurrently ${quoteIdentifier(index.name)} on ${target} ${index.using.sql};\n`,
    })),
    { name: "analyze-partition", sql: `analyze ${target};\n` },
  ];
}
