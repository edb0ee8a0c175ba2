import { afterAll, beforeAll, expect, it } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { churn, largestDifference } from "../helpers/lexical-churn.js";
import { HashedEmbeddings, seededRandom } from "../helpers/vectors.js";

const WORDS = "index vector tenant search posting segment query planner vacuum tuple buffer cache lock trigger".split(
  " ",
);
const random = seededRandom(3);
const TEXTS = Array.from({ length: 200 }, (_, id) => ({
  id: String(id),
  text: Array.from({ length: 5 + Math.floor(random() * 30) }, () => WORDS[Math.floor(random() * WORDS.length)]).join(
    " ",
  ),
}));
const CALLS = 150;

/** The short form of `npm run test:lexical-churn`. */
describeServer("a lexical index under writers that are cut off", () => {
  let database: ServerTestDatabase;
  beforeAll(async () => {
    database = await openServerDatabase();
  });
  afterAll(() => database.close());

  it("has the scores of one that is built afresh, once compacted", async () => {
    const name = "lexical_churn";
    const open = (tableName: string): Promise<PostgresVectorStore> =>
      PostgresVectorStore.initialize(new HashedEmbeddings(), { tableName, lexical: true, pool: database.newPool() });
    const store = await open(name);
    const writers = [await open(name), await open(name)];
    let done = 0;
    let wake = (): unknown => undefined;
    const onCall = (): void => {
      done += 1;
      wake();
    };
    const writing = Promise.all(writers.map((writer, seed) => churn(writer, TEXTS, { seed, calls: CALLS, onCall })));
    const admin = database.newPool({ max: 1 });
    for (let cut = 40; cut < 2 * CALLS; cut += 40) {
      await new Promise<void>((resolve) => {
        wake = () => done >= cut && resolve();
        wake();
      });
      await admin.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid()`,
      );
    }
    await writing;
    await Promise.all(writers.map((writer) => writer.end()));
    const { chunks, dead } = await store.lexical.state();
    // Writers see to it themselves that what is gone does not add up.
    expect(dead).toBeLessThan(0.3 * chunks);
    await store.lexical.compact();
    expect((await store.lexical.state()).dead).toBe(0);
    const fresh = await open(`${name}_fresh`);
    await admin.query(`insert into ${name}_fresh select * from ${name}`);
    const difference = await largestDifference(store, fresh, ["index vector", "planner vacuum tuple tuple", "lock"]);
    expect(difference).toBeLessThan(1e-9);
  });
});
