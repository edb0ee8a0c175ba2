/** A process of readers and writers beside a change of models: the job as JSON; prints its samples when its input ends. */
import pg from "pg";
import { PostgresVectorStore } from "../../src/index.js";
import { numberOf, PlantedEmbeddings } from "./planted.js";

export interface TrafficJob {
  readonly url: string;
  readonly tableName: string;
  readonly dimensions: readonly [number, number];
  readonly rows: number;
  /** Searches and writes begun in a second; open loop. */
  readonly searches: number;
  readonly writes: number;
}

export interface TrafficReport {
  /** When each search began, by the clock, and how long it took, in milliseconds. */
  readonly searches: readonly (readonly [at: number, ms: number])[];
  readonly failures: readonly string[];
  readonly mixed: number;
  /** Searches whose index did not find the text that was asked for. */
  readonly missed: number;
  /** Ids of the writes that were acknowledged. */
  readonly written: readonly string[];
}

const job = JSON.parse(process.argv[2]!) as TrafficJob;
const pool = new pg.Pool({ connectionString: job.url, max: 8 });
const [old, next] = [
  new PlantedEmbeddings("old", job.dimensions[0], 1),
  new PlantedEmbeddings("next", job.dimensions[1], 2),
];
const store = await PostgresVectorStore.initialize(old, {
  pool,
  tableName: job.tableName,
  embedders: { [next.fingerprint]: next },
});
const models = [old, next];
/** Of a distance: float16 and the rounding of float32. */
const TOLERANCE = 1e-3;
const MOST_SEARCHES = 1_000_000;
/**
 * What each search was asked and answered, in numbers of texts: -1 for none. Judged at the end, as that takes as much of a
 * processor as the searches themselves; in typed arrays, as the collector would stop this process for a growing heap.
 */
const answers = {
  at: new Float64Array(MOST_SEARCHES),
  ms: new Float64Array(MOST_SEARCHES),
  asked: new Int32Array(MOST_SEARCHES),
  found: new Int32Array(MOST_SEARCHES),
  distance: new Float64Array(MOST_SEARCHES),
};
let answered = 0;
const failures: string[] = [];
const written: string[] = [];
let running = 0;
const going = new AbortController();

async function search(): Promise<void> {
  const asked = Math.floor(Math.random() * job.rows);
  const [at, began] = [Date.now(), performance.now()];
  try {
    const [hit] = await store.search(`planted ${asked}`, { k: 10 });
    const index = answered;
    answered += 1;
    answers.at[index] = at;
    answers.ms[index] = performance.now() - began;
    answers.asked[index] = asked;
    answers.found[index] = hit === undefined ? -1 : numberOf(hit.document.pageContent);
    answers.distance[index] = hit?.distance ?? Number.NaN;
  } catch (error) {
    failures.push(`search: ${String(error)}`);
  }
}

function report(): TrafficReport {
  const searches: [number, number][] = [];
  let [mixed, missed] = [0, 0];
  for (let index = 0; index < answered; index += 1) {
    const [asked, found, distance] = [answers.asked[index]!, answers.found[index]!, answers.distance[index]!];
    searches.push([answers.at[index]!, answers.ms[index]!]);
    // In whatever version: the text itself is at no distance, and what is found instead where the index misses it is as far
    // as the vectors of both texts are in that version. By vectors of two versions it could be neither.
    if (found === -1 || !models.some((model) => isDistance(model, asked, found, distance))) mixed += 1;
    else if (distance > TOLERANCE) missed += 1;
  }
  return { searches, failures, mixed, missed, written };
}

function isDistance(model: PlantedEmbeddings, asked: number, found: number, distance: number): boolean {
  const [one, other] = [model.vectorOf(asked), model.vectorOf(found)];
  return Math.abs(1 - innerProduct(one, other) / Math.hypot(...one) / Math.hypot(...other) - distance) < TOLERANCE;
}

function innerProduct(one: readonly number[], other: readonly number[]): number {
  return one.reduce((sum, value, at) => sum + value * other[at]!, 0);
}

async function write(): Promise<void> {
  const number = 1_000_000 + written.length + failures.length + running;
  const id = `live ${number} ${Math.random()}`;
  try {
    await store.addDocuments([{ id, pageContent: `written ${number}`, metadata: {} }]);
    written.push(id);
  } catch (error) {
    failures.push(`write: ${String(error)}`);
  }
}

async function every(perSecond: number, work: () => Promise<void>): Promise<void> {
  const open = new Set<Promise<void>>();
  for (let turn = 0, began = performance.now(); !going.signal.aborted; turn += 1) {
    const wait = began + (turn * 1_000) / perSecond - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    running += 1;
    const one = work().finally(() => {
      running -= 1;
      open.delete(one);
    });
    open.add(one);
  }
  await Promise.all(open);
}

process.stdin.once("end", () => going.abort()).resume();
process.stdout.write("ready\n");
await Promise.all([every(job.searches, search), every(job.writes, write)]);
await store.end();
await pool.end();
process.stdout.write(`${JSON.stringify(report())}\n`);
