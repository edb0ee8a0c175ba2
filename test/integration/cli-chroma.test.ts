import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { ChromaClient } from "../../src/chroma/client.js";
import type { ImportPlan, ImportReport } from "../../src/chroma/index.js";
import type { ChromaServer } from "../../src/chroma/run-server.js";
import { PostgresVectorStore } from "../../src/index.js";
import { ChromaProxy } from "../helpers/chroma-proxy.js";
import { fillCollection, sampleRecords } from "../helpers/chroma-records.js";
import { startChromaServer } from "../helpers/chroma-server.js";
import { CliFolder, type CliRun } from "../helpers/cli.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { describeChroma } from "../helpers/describe-chroma.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const DIMENSIONS = 16;
const RECORDS = 600;
const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

await describeChroma("the verbs import chroma and export chroma", () => {
  describeServer("on a server", () => {
    let database: ServerTestDatabase;
    let chroma: ChromaServer;
    let proxy: ChromaProxy;
    let folder: CliFolder;
    let table = "";
    let tables = 0;

    beforeAll(async () => {
      database = await openServerDatabase();
      chroma = await startChromaServer();
      proxy = await ChromaProxy.start(chroma.url);
      const client = new ChromaClient({ url: chroma.url });
      await fillCollection(client, "notes", "cosine", sampleRecords(RECORDS, DIMENSIONS, 1));
      await fillCollection(client, "wiki", "l2", sampleRecords(40, DIMENSIONS, 2));
      await client.createCollection("nothing", {});
    });
    afterAll(async () => {
      await proxy.stop();
      await chroma.stop();
      await database.close();
    });
    beforeEach(() => {
      folder = new CliFolder();
      folder.secrets.push(new URL(database.ownerUrl).password, "chroma-secret");
      table = `cli_chroma_${(tables += 1)}`;
      proxy.tamper = (_request, answer) => answer;
      proxy.requests.length = 0;
    });
    afterEach(() => folder.remove());

    const flags = (): string[] => ["--table", table, "--url", proxy.url];
    const env = () => ({ DATABASE_URL: database.ownerUrl, CHROMA_API_KEY: "chroma-secret" });
    const run = (...args: string[]): Promise<CliRun> => folder.run([...args, ...flags()], { env: env() });
    const json = <T>(...args: string[]): Promise<T> => folder.json<T>([...args, ...flags()], { env: env() });
    const open = (collectionName: string): Promise<PostgresVectorStore> =>
      PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(DIMENSIONS), {
        pool: database.pool,
        tableName: table,
        collectionName,
      });

    test("a plan, an import, a report", async () => {
      const plan = await run("import", "chroma", "--plan", "--embeddings", "openai:text-embedding-3-small");
      expect(plan.err[0]).toMatch(/^database: .* · tenant: default · embedder: none needed$/);
      expect(plan.out.split("\n")).toEqual([
        `-- from ${proxy.url}; nothing was changed`,
        `notes: 600 records, 16 dimensions, cosine, text-embedding-3-small -> table ${table}, collection notes (to be made)`,
        `wiki: 40 records, 16 dimensions, euclidean, text-embedding-3-small -> table ${table}, collection wiki (to be made)`,
        "nothing: empty, left out",
        "",
      ]);
      const done = await run("import", "chroma", "--embeddings", "openai:text-embedding-3-small", "--page-rows", "200");
      expect(done.code).toBe(0);
      expect(done.out).toMatch(
        /^notes: 600 records -> table cli_chroma_\d+, collection notes in [\d.]+ s\n {2}compared: 600 records equal, vectors [\da-f]{16}, 20 sampled searches share [\d.]+ % of their results\nwiki: 40 records/,
      );
      expect(done.out).toMatch(/warning: "wiki" is compared by euclidean distance and its table was made for cosine/);
      expect(done.err).toContain("notes: 600 records visible");
      expect(proxy.requests.every(({ headers }) => headers["x-chroma-token"] === "chroma-secret")).toBe(true);
      expect(await (await open("wiki")).get({ include: [] })).toHaveLength(40);

      const again = await run("import", "chroma", "wiki");
      expect(again).toMatchObject({ code: 1, out: "" });
      expect(again.err.at(-1)).toMatch(/^error: There are rows where the collection "wiki" is to go/);
      const planned = await json<ImportPlan>("import", "chroma", "wiki", "--plan");
      expect(planned.collections[0]).toMatchObject({
        existing: 40,
        problems: [expect.stringMatching(/40 rows are there/)],
      });
      const report = await json<ImportReport>("import", "chroma", "wiki", "--existing", "replace", "--no-verify");
      expect(report.collections).toMatchObject([{ name: "wiki", records: 40 }]);
      expect(report.collections[0]).not.toHaveProperty("verification");

      const exported = await run("export", "chroma", "wiki-back", "--collection", "wiki");
      expect(exported).toMatchObject({ code: 0, out: "exported 40 records as the collection wiki-back\n" });
      expect(await run("export", "chroma", "wiki-back", "--collection", "wiki")).toMatchObject({ code: 2 });
    });

    test("wrong usage", async () => {
      const cases: [string[], RegExp][] = [
        [["import", "chroma", "--collection", "notes"], /Name the collections to import as arguments/],
        [["import", "chroma", "--data-dir", "x"], /Give --url or --data-dir, not both/],
        [["import", "chroma", "--header", "chroma-secret"], /Write --header like "name: value"/],
        [["import", "chroma", "--into", "rows"], /Allowed choices are collection, table, tenant, metadata/],
        [["import", "chroma", "--embeddings", "openai"], /names no model/],
      ];
      for (const [args, message] of cases) {
        const { code, err } = await run(...args);
        expect([args, code]).toEqual([args, 2]);
        expect(err.join("\n")).toMatch(message);
      }
      const none = await folder.run(["import", "chroma"], { env: {} });
      expect(none).toMatchObject({ code: 2 });
      expect(await run("import", "chroma", "nope")).toMatchObject({ code: 1 });
    });

    test("killed at five points and started again, it ends in the same state", async () => {
      const stored: number[] = [];
      // In the middle of the 2nd, 5th, 8th and 11th page of the copy, and while it compares.
      for (const reads of [2, 3, 3, 3, 8]) {
        const child = spawn(
          process.execPath,
          ["--import", "tsx", main, "import", "chroma", "notes", ...flags(), "--page-rows", "50"],
          { env: { ...process.env, ...env() }, stdio: "ignore" },
        );
        const exited = new Promise<NodeJS.Signals | null>((resolve) =>
          child.once("exit", (_, signal) => resolve(signal)),
        );
        let seen = 0;
        proxy.tamper = ({ path, body }, answer) => {
          // A resumed run lists ids of what it has; only reads of records count.
          const counts = path.endsWith("/get") && (body["include"] as unknown[]).length > 0;
          if (counts && (seen += 1) > reads) child.kill("SIGKILL");
          return answer;
        };
        expect(await exited).toBe("SIGKILL");
        expect(await (await open("notes")).get({ include: [] })).toEqual([]);
        const { rows } = await database
          .newPool({ max: 1 })
          .query<{ count: number }>(`select count(*)::int from ${table}`);
        stored.push(rows[0]!.count);
      }
      proxy.tamper = (_request, answer) => answer;
      expect(stored).toEqual(stored.toSorted((a, b) => a - b));
      expect(stored[0]).toBeGreaterThan(0);
      const report = await json<ImportReport>("import", "chroma", "notes", "--page-rows", "50");
      expect(report.collections[0]).toMatchObject({ records: RECORDS, resumed: stored.at(-1) });
      expect(report.collections[0]!.verification).toMatchObject({ compared: RECORDS, changed: 0 });
    });
  });
});
