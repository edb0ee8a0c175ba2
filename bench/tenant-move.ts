import { setTimeout as sleep } from "node:timers/promises";
import { Embeddings } from "@langchain/core/embeddings";
import { PostgresVectorStore, type MovedTenant, type MoveProgress } from "../src/index.js";
import type { ServerTestDatabase } from "../test/helpers/open-database.js";
import { fixedDocuments, readModel, startTraffic, type Model, type Traffic } from "../test/helpers/tenant-traffic.js";
import { testSchema } from "../test/helpers/test-schema.js";
import { seededRandom } from "../test/helpers/vectors.js";
import {
  atMost,
  describeMachine,
  openBenchDatabase,
  progress,
  table,
  timed,
  type BenchOptions,
  type BenchResult,
} from "./harness.js";

const TABLE = "tenant_move";
const CENTRES = 50;
const MOVES = ["isolate", "merge"] as const;

/**
 * Moves one large tenant into a partition of its own and back, in a table with an HNSW index, while it and another tenant
 * read and write without pause, and compares all rows with what was written.
 */
export async function run({ quick, rows, dimensions }: BenchOptions): Promise<BenchResult> {
  const size = rows ?? (quick ? 3_000 : 40_000);
  const length = dimensions ?? 384;
  const database = await openBenchDatabase();
  try {
    const embeddings = new SeededEmbeddings(length);
    const config = { tableName: TABLE, tenancy: "rls", dimensions: length, ...testSchema() } as const;
    const owner = await open(database, database.ownerUrl, embeddings, { ...config, partitions: "by-tenant" });
    const app = await open(database, database.appUrl, embeddings, config);
    const models = await fill(app, embeddings, size);
    progress("building the HNSW index");
    await owner.createHnswIndex({ m: 16, efConstruction: 64 });
    await database.newPool({ max: 1 }).query(`vacuum (analyze) ${TABLE}`);

    progress("traffic without a move");
    const stalls = [{ when: "idle", ...(await withTraffic(app, models, () => sleep(quick ? 3_000 : 20_000))).stalls }];
    const moved: Record<string, MovedTenant & { totalMs: number; phases: Record<string, number> }> = {};
    const bars = [];
    for (const move of MOVES) {
      progress(move);
      const phases: Record<string, number> = {};
      const onProgress = phaseClock(phases);
      let totalMs = 0;
      const { result, stalls: during } = await withTraffic(app, models, async () => {
        let outcome: MovedTenant | undefined;
        totalMs = await timed(async () => (outcome = await owner.tenants[move]("mover", { onProgress })));
        return outcome!;
      });
      moved[move] = { ...result, totalMs, phases };
      stalls.push({ when: move, ...during });
      bars.push(
        atMost(`${move}: longest read of the tenant`, during["tenant read"], 1_000, " ms"),
        atMost(`${move}: longest write of the tenant`, during["tenant write"], 5_000, " ms"),
        atMost(`${move}: longest read of another`, during["other read"], 2_000, " ms"),
        atMost(`${move}: longest write of another`, during["other write"], 2_000, " ms"),
        atMost(`${move}: rows lost, doubled or changed`, await differences(app, models), 0),
      );
    }
    table(
      `Longest call (ms) while a tenant of ${size.toLocaleString("en")} rows at ${length} dimensions moves`,
      stalls,
    );
    table(
      "Moves (s, and ms for what was blocked)",
      MOVES.map((move) => ({
        move,
        total: moved[move]!.totalMs / 1_000,
        ...Object.fromEntries(Object.entries(moved[move]!.phases).map(([phase, ms]) => [phase, ms / 1_000])),
        "writes blocked": moved[move]!.writesBlockedMs,
        "reads blocked": moved[move]!.readsBlockedMs,
      })),
    );
    return {
      machine: await describeMachine(database),
      figures: { rows: size, dimensions: length, stalls, moved },
      bars,
    };
  } finally {
    await database.close();
  }
}

function open(
  database: ServerTestDatabase,
  connectionString: string,
  embeddings: Embeddings,
  config: object,
): Promise<PostgresVectorStore> {
  const pool = database.newPool({ connectionString, max: 6 });
  return PostgresVectorStore.initialize(embeddings, { ...config, pool });
}

/** The tenant that moves, one half its size, and small ones. */
async function fill(
  app: PostgresVectorStore,
  embeddings: SeededEmbeddings,
  size: number,
): Promise<Record<string, Model>> {
  const sizes = {
    mover: size,
    other: Math.ceil(size / 2),
    ...Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`small-${i}`, Math.ceil(size / 80)])),
  };
  for (const [tenant, count] of Object.entries(sizes)) {
    progress(`storing ${count} rows of ${tenant}`);
    const documents = fixedDocuments(tenant, count);
    for (let start = 0; start < count; start += 500) {
      const batch = documents
        .slice(start, start + 500)
        .map((document) => ({ ...document, pageContent: document.pageContent }));
      await app
        .forTenant(tenant)
        .addVectors(await embeddings.embedDocuments(batch.map(({ pageContent }) => pageContent)), batch);
    }
  }
  return { mover: await readModel(app.forTenant("mover")), other: await readModel(app.forTenant("other")) };
}

async function withTraffic<T>(
  app: PostgresVectorStore,
  models: Record<string, Model>,
  work: () => Promise<T>,
): Promise<{
  result: T;
  stalls: Record<"tenant read" | "tenant write" | "other read" | "other write" | "calls", number>;
}> {
  const stop = new AbortController();
  const start = (tenant: string): { traffic: Traffic; done: Promise<void> } =>
    startTraffic(app.forTenant(tenant), models[tenant]!, { workers: 1, stop: stop.signal, pauseMs: 5 });
  const [mover, other] = [start("mover"), start("other")];
  const result = await work().finally(() => stop.abort());
  await Promise.all([mover.done, other.done]);
  const faults = [...mover.traffic.faults, ...other.traffic.faults];
  if (faults.length > 0) throw new Error(`${faults.length} calls went wrong, such as: ${faults[0]}`);
  return {
    result,
    stalls: {
      "tenant read": mover.traffic.longestReadMs,
      "tenant write": mover.traffic.longestWriteMs,
      "other read": other.traffic.longestReadMs,
      "other write": other.traffic.longestWriteMs,
      calls: [mover, other].reduce((sum, { traffic }) => sum + traffic.reads + traffic.writes, 0),
    },
  };
}

async function differences(app: PostgresVectorStore, models: Record<string, Model>): Promise<number> {
  let differing = 0;
  for (const [tenant, model] of Object.entries(models)) {
    const stored = await readModel(app.forTenant(tenant));
    for (const id of new Set([...stored.keys(), ...model.keys()])) if (stored.get(id) !== model.get(id)) differing += 1;
  }
  return differing;
}

/** Sums up the time between one report and the next, by phase. */
function phaseClock(phases: Record<string, number>): (progress: MoveProgress) => void {
  let last: { phase: string; at: number } | undefined;
  return ({ phase, message }) => {
    const now = performance.now();
    if (last !== undefined) phases[last.phase] = (phases[last.phase] ?? 0) + now - last.at;
    if (last?.phase !== phase) progress(message);
    last = { phase, at: now };
  };
}

/** Vectors around a few centres, the same ones for the same text. */
class SeededEmbeddings extends Embeddings {
  readonly #centres: number[][];

  constructor(dimensions: number) {
    super({});
    const random = seededRandom(7);
    this.#centres = Array.from({ length: CENTRES }, () => Array.from({ length: dimensions }, () => random() - 0.5));
  }

  override embedQuery(text: string): Promise<number[]> {
    let seed = 0;
    for (let i = 0; i < text.length; i += 1) seed = (Math.imul(seed, 31) + text.charCodeAt(i)) | 0;
    const random = seededRandom(seed);
    const centre = this.#centres[Math.floor(random() * CENTRES)]!;
    return Promise.resolve(centre.map((value) => value + (random() - 0.5) * 0.8));
  }

  override embedDocuments(texts: string[]): Promise<number[][]> {
    return Promise.all(texts.map((text) => this.embedQuery(text)));
  }
}
