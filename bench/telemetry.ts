import { OfflineEmbeddings, PostgresVectorStore } from "../src/index.js";
import { Activity } from "../src/telemetry/activity.js";
import { observeMethods, setCaller } from "../src/telemetry/observe.js";
import { testSchema } from "../test/helpers/test-schema.js";
import {
  atMost,
  describeMachine,
  median,
  openBenchDatabase,
  progress,
  table,
  type BenchOptions,
  type BenchResult,
} from "./harness.js";

/** The cheapest call there is, once as it is and once observed. */
class Plain {
  async call(value: { readonly k: number }): Promise<number[]> {
    return [value.k];
  }
}
class Observed extends Plain {
  override async call(value: { readonly k: number }): Promise<number[]> {
    return [value.k];
  }
}
observeMethods(Observed.prototype, { call: ([{ k }]) => ({ "langchain_pgvector.search.k": k }) });

/** What spans and metrics add to a call while no SDK is registered, beside the cheapest search there is. */
export async function run({ quick, rows }: BenchOptions): Promise<BenchResult> {
  const size = rows ?? 500;
  const added = await addedByObserving(quick ? 20_000 : 200_000);
  const database = await openBenchDatabase();
  try {
    const embeddings = new OfflineEmbeddings({ dimensions: 64 });
    const store = await PostgresVectorStore.initialize(embeddings, {
      pool: database.newPool({ max: 1 }),
      tableName: "telemetry",
      ...testSchema(),
    });
    await store.addDocuments(
      Array.from({ length: size }, (_, i) => ({ id: String(i), pageContent: `Text ${i} of many`, metadata: {} })),
    );
    const query = await embeddings.embedQuery("Text 7");
    progress("searching");
    const times: number[] = [];
    for (let i = 0; i < (quick ? 500 : 5_000); i += 1) {
      const began = performance.now();
      await store.search(query, { k: 4 });
      times.push(1_000 * (performance.now() - began));
    }
    const search = median(times.slice(times.length / 5));
    const figures = { addedMicroseconds: added, searchMicroseconds: search, share: added / search };
    table("A call while no SDK is registered", [figures]);
    const bars = [atMost("share of a search", (100 * added) / search, 2, " %")];
    return { machine: await describeMachine(database), figures, bars };
  } finally {
    await database.close();
  }
}

/** Microseconds; the median of rounds in which both take turns. */
async function addedByObserving(calls: number): Promise<number> {
  const plain = new Plain();
  const observed = new Observed();
  const caller = { activity: new Activity("telemetry"), searchType: "similarity", tenant: undefined };
  setCaller(observed, () => caller);
  const time = async (target: Plain): Promise<number> => {
    const began = performance.now();
    for (let i = 0; i < calls; i += 1) await target.call({ k: i });
    return (1_000 * (performance.now() - began)) / calls;
  };
  const differences: number[] = [];
  for (let round = 0; round < 12; round += 1) {
    const [first, second] = round % 2 === 0 ? [plain, observed] : [observed, plain];
    const took = new Map([[first, await time(first)]]);
    took.set(second, await time(second));
    // The first rounds are compiled on the way.
    if (round >= 2) differences.push(took.get(observed)! - took.get(plain)!);
  }
  return median(differences);
}
