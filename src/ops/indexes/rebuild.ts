import sql, { raw } from "sql-template-tag";
import { quoteQualified } from "../../db/identifiers.js";
import { ConfigurationError, IndexBuildError } from "../../errors.js";
import { applySteps } from "../../schema/apply.js";
import { graphNeed, withBuildResources, type BuildNeed } from "../../store/build-memory.js";
import { ivfflatBuildBytes } from "../../store/index-parameters.js";
import { parseIndexNote } from "../../store/index-note.js";
import { readIndexSizing } from "../../store/index-sizing.js";
import { noteRecall } from "../../store/measure-recall.js";
import type { OpenStore } from "../../store/open.js";
import { integer } from "../../store/options.js";
import { awaitTableLock } from "../../store/table-lock.js";
import { watchBuild } from "../../store/watch-build.js";
import type { BuildOptions } from "./create.js";
import { chooseIndex, findIndexes, type FoundIndex } from "./find.js";
import { cleanLeftovers } from "./leftovers.js";
import { bytesOf, type IndexPlan } from "./plan.js";

export interface RebuildIndexOptions extends Omit<BuildOptions, "namespace" | "concurrently"> {
  /** @defaultValue the only vector index of the table */
  readonly name?: string | undefined;
  /** New parameters of an HNSW index. @defaultValue as they are */
  readonly m?: number | undefined;
  readonly efConstruction?: number | undefined;
  /** New number of lists of an IVFFlat index. @defaultValue as it is */
  readonly lists?: number | undefined;
}

export interface RebuiltIndex {
  readonly name: string;
  /** What was built anew: the index, or its parts on partitions. */
  readonly rebuilt: readonly string[];
  /** Remains of interrupted rebuilds that were removed. */
  readonly cleaned: readonly string[];
}

/** Builds an index anew beside itself; see `StoreIndexes.rebuild`. */
export async function rebuildIndex(store: OpenStore, options: RebuildIndexOptions): Promise<RebuiltIndex> {
  options.signal?.throwIfAborted();
  const { index, parts, parameters } = await target(store, options);
  const onWait = (message: string): void =>
    options.onProgress?.({
      index: index.name,
      phase: "waiting",
      done: undefined,
      message: `${index.name}: ${message}`,
    });
  const cleaned = await cleanLeftovers(store, { onWait, signal: options.signal });
  for (const part of [...parts, ...(index.partitioned ? [index] : [])]) await setParameters(store, part, parameters);
  for (const part of parts) await rebuildPart(store, part, { ...part.parameters, ...parameters }, options, onWait);
  store.memory.forgetIndexes();
  // A figure is true of the graph that it was measured on.
  for (const part of parts.filter(({ comment }) => parseIndexNote(comment) !== undefined)) {
    options.signal?.throwIfAborted();
    options.onProgress?.({
      index: part.name,
      phase: "measuring",
      done: undefined,
      message: `${part.name}: measuring its recall`,
    });
    await noteRecall(store, part.name);
  }
  return { name: index.name, rebuilt: parts.map(({ name }) => name), cleaned };
}

/** What {@link rebuildIndex} would run. No effects. */
export async function planRebuildIndex(store: OpenStore, options: RebuildIndexOptions): Promise<IndexPlan> {
  const { index, parts, parameters } = await target(store, options);
  const { rows } = await readIndexSizing(store);
  const steps = parts.flatMap((part) => [
    ...(needsChange(part, parameters) ? [{ name: "set-parameters", sql: setSql(part, parameters) }] : []),
    { name: "reindex", sql: `reindex index concurrently ${quoteQualified(part.schema, part.name)};\n` },
  ]);
  const memory = bytesOf(needOf(store, index.method, { ...index.parameters, ...parameters }), rows);
  return { steps, warnings: [], rows, memory };
}

interface Target {
  readonly index: FoundIndex;
  /** It, or its parts on the partitions. */
  readonly parts: readonly FoundIndex[];
  /** Those that are to change. */
  readonly parameters: Readonly<Record<string, number>>;
}

async function target(store: OpenStore, options: RebuildIndexOptions): Promise<Target> {
  const m = integer("m", options.m, 2, 100);
  const efConstruction = integer("efConstruction", options.efConstruction, 4, 1_000);
  const lists = integer("lists", options.lists, 1, 32_768);
  const indexes = await findIndexes(store);
  const index = chooseIndex(store, indexes, options.name);
  const parameters = {
    ...(m !== undefined && { m }),
    ...(efConstruction !== undefined && { ef_construction: efConstruction }),
    ...(lists !== undefined && { lists }),
  };
  const known = PARAMETERS[index.method] ?? [];
  const foreign = Object.keys(parameters).find((name) => !known.includes(name));
  if (foreign !== undefined) {
    throw new ConfigurationError(
      `${index.name} is an index of type ${index.method}, which has no ${foreign}; leave it out.`,
    );
  }
  const all = { m: 16, ef_construction: 64, ...index.parameters, ...parameters };
  if (index.method === "hnsw" && all.ef_construction < 2 * all.m) {
    throw new ConfigurationError(`efConstruction is ${all.ef_construction}; it must be at least 2 * m = ${2 * all.m}.`);
  }
  const parts = index.partitioned ? indexes.filter(({ parent }) => parent === index.name) : [index];
  return { index, parts, parameters };
}

const PARAMETERS: Readonly<Record<string, readonly string[]>> = { hnsw: ["m", "ef_construction"], ivfflat: ["lists"] };

function needsChange(part: FoundIndex, parameters: Readonly<Record<string, number>>): boolean {
  return Object.entries(parameters).some(([name, value]) => part.parameters[name] !== value);
}

function setSql(part: FoundIndex, parameters: Readonly<Record<string, number>>): string {
  const list = Object.entries(parameters).map(([name, value]) => `${name} = ${value}`);
  return `alter index ${quoteQualified(part.schema, part.name)} set (${list.join(", ")});\n`;
}

/** Changes nothing about the index as it is: the next build of it goes by them. */
async function setParameters(
  store: OpenStore,
  part: FoundIndex,
  parameters: Readonly<Record<string, number>>,
): Promise<void> {
  // Postgres refuses parameters on the index of a partitioned table; new partitions take those that it was made with.
  if (part.partitioned || !needsChange(part, parameters)) return;
  await applySteps(store.database, [{ name: "set-parameters", sql: setSql(part, parameters) }]);
}

function needOf(store: OpenStore, method: string, parameters: Readonly<Record<string, number>>): BuildNeed {
  if (method === "hnsw") return graphNeed(store.model, parameters["m"] ?? 16);
  return { total: method === "ivfflat" ? ivfflatBuildBytes(store.model, parameters["lists"] ?? 100) : 256 * 2 ** 20 };
}

async function rebuildPart(
  store: OpenStore,
  part: FoundIndex,
  parameters: Readonly<Record<string, number>>,
  { memory, workers, onProgress, signal }: RebuildIndexOptions,
  onWait: (message: string) => void,
): Promise<void> {
  const { database } = store;
  const name = quoteQualified(part.schema, part.name);
  try {
    await database.connection(
      (session) =>
        withBuildResources(session, part, needOf(store, part.method, parameters), { memory, workers }, () =>
          watchBuild(database, session, part.name, onProgress, async () => {
            await awaitTableLock(session, part, { onWait, signal });
            await session.execute({ name: "reindex", sql: sql`reindex index concurrently ${raw(name)}` });
          }),
        ),
      signal,
    );
  } catch (cause) {
    await cleanLeftovers(store, {}).catch(() => undefined);
    signal?.throwIfAborted();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new IndexBuildError(`The index ${name} was not rebuilt, and serves as it did: ${reason}`, { cause });
  }
}
