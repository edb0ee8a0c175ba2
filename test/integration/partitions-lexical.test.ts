import type { Pool as PgPool } from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { lintTenancy, PostgresVectorStore } from "../../src/index.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { fixedDocuments } from "../helpers/tenant-traffic.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const embeddings = new HashedEmbeddings(16);
const ROWS = 600;

describeServer("the lexical index of a tenant that changes partitions", () => {
  let database: ServerTestDatabase;
  let ownerPool: PgPool;
  let appPool: PgPool;
  let owner: PostgresVectorStore;
  let app: PostgresVectorStore;
  let big: PostgresVectorStore;

  beforeAll(async () => {
    database = await openServerDatabase();
    ownerPool = database.newPool({ connectionString: database.ownerUrl });
    appPool = database.newPool({ connectionString: database.appUrl });
    const config = { tableName: "moves_lexical", tenancy: "rls" } as const;
    owner = await PostgresVectorStore.initialize(embeddings, {
      ...config,
      pool: ownerPool,
      partitions: "by-tenant",
      lexical: true,
    });
    app = await PostgresVectorStore.initialize(embeddings, { ...config, pool: appPool });
    big = app.forTenant("big");
    await big.addDocuments(fixedDocuments("big", ROWS));
    await app.forTenant("other").addDocuments(fixedDocuments("other", 100));
    await owner.createHnswIndex({ m: 4, efConstruction: 16 });
    await big.lexical.compact();
  });
  afterAll(() => database.close());

  const found = async (store: PostgresVectorStore, query: string): Promise<string[]> =>
    (await store.search(query, { searchType: "lexical", k: 1_000 }))
      .filter((hit) => hit.lexical !== undefined)
      .map((hit) => hit.document.id!);

  /** Writes of each kind in a home, each seen by searches at once. */
  const writeAt = async (home: string): Promise<void> => {
    await big.addDocuments([{ id: home, pageContent: `unheard ${home}`, metadata: {} }]);
    expect(await found(big, home)).toEqual([home]);
    await big.addDocuments([{ id: home, pageContent: `other words of ${home}yes`, metadata: {} }]);
    expect(await found(big, "unheard")).toEqual([]);
    expect(await found(big, `${home}yes`)).toEqual([home]);
    await big.bulkLoad([{ id: `${home} load`, pageContent: `loaded ${home}load`, metadata: {} }], { vacuum: false });
    expect(await found(big, `${home}load`)).toEqual([`${home} load`]);
    await big.delete({ ids: [home, `${home} load`] });
    expect(await found(big, `${home}yes ${home}load`)).toEqual([]);
  };

  it("stays as it is, there and back, and takes writes in every place", async () => {
    await writeAt("shared");
    await big.lexical.compact();
    const state = await big.lexical.state();
    expect(state).toMatchObject({ chunks: ROWS, dead: 0 });
    const other = await app.forTenant("other").lexical.state();
    const hits = await big.search("fixed 77", { searchType: "lexical", k: 20 });
    const hybrid = await big.search("fixed 77", { searchType: "hybrid", k: 5 });
    expect(hits[0]!.document.id).toBe("fixed-77");

    const move = async (way: "isolate" | "merge", home: string): Promise<void> => {
      // A row that is written, changed and deleted while the mirror is at work is in neither index twice.
      let during: Promise<void> | undefined;
      const onProgress = ({ phase }: { phase: string }): void => {
        if (phase === "copying") during ??= writeAt(`${home}during`);
      };
      expect(await owner.tenants[way]("big", { batchRows: 50, pauseMs: 20, onProgress })).toMatchObject({
        moved: true,
      });
      expect(during).toBeDefined();
      await during;
      await big.lexical.compact();
      expect(await big.lexical.state()).toEqual(state);
      expect(await big.search("fixed 77", { searchType: "lexical", k: 20 })).toEqual(hits);
      const again = await big.search("fixed 77", { searchType: "hybrid", k: 5 });
      expect(again.map((hit) => hit.document.id)).toEqual(hybrid.map((hit) => hit.document.id));
      expect(await found(big, "fixed")).toHaveLength(ROWS);
      await writeAt(home);
      await big.lexical.compact();
      expect(await app.forTenant("other").lexical.state()).toEqual(other);
      expect(await lintTenancy({ pool: ownerPool, tableName: "moves_lexical" })).toEqual([]);
    };
    await move("isolate", "isolated");
    await move("merge", "merged");
    expect(await found(app.forTenant("other"), "fixed")).toHaveLength(100);
  });
});
