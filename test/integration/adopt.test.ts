import type { PGVectorStore } from "@langchain/community/vectorstores/pgvector";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import { adopt, planAdopt, type AdoptArgs } from "../../src/store/adopt/adopt.js";
import { baseStore, DistinctEmbeddings, sampleDocuments, tableState } from "../helpers/base-tables.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";

const DIMENSIONS = 32;
const embeddings = new DistinctEmbeddings(DIMENSIONS);
const QUERIES = ["the index rebuilds", "vacuum shrinks", "number 17", "protects the backup"];

describeServer("adopting tables of the base class", () => {
  let database: ServerTestDatabase;
  let pool: pg.Pool;
  let tables = 0;
  let tableName = "";

  beforeAll(async () => {
    database = await openServerDatabase();
    pool = database.newPool();
  });
  afterAll(() => database.close());
  beforeEach(() => {
    tableName = `adopted_${(tables += 1)}`;
  });

  /** The base class: results of a few searches by id and distance, which adopting must not change. */
  async function results(store: PGVectorStore, filter?: Record<string, string>): Promise<unknown> {
    const found = [];
    for (const query of QUERIES) {
      const hits = await store.similaritySearchWithScore(query, 8, filter);
      found.push(hits.map(([{ id, pageContent, metadata }, distance]) => ({ id, pageContent, metadata, distance })));
    }
    return found;
  }

  const open = (config: PostgresVectorStoreArgs = {}): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(embeddings, { pool, tableName, ...config });

  const config = (more: AdoptArgs = {}): AdoptArgs => ({ pool, tableName, ...more });

  async function filled(count: number, dimensions?: number): Promise<{ store: PGVectorStore; ids: string[] }> {
    const store = await baseStore(embeddings, { pool, tableName }, dimensions);
    const { documents, ids } = sampleDocuments(count);
    await store.addDocuments(documents, { ids });
    return { store, ids };
  }

  /** It must refuse with this message, twice, plan first, and leave no trace. */
  async function expectRefusal(message: RegExp, more: AdoptArgs = {}, table = tableName): Promise<void> {
    const before = await tableState(pool, table);
    expect((await errorOf(planAdopt(config(more)))).message).toMatch(message);
    expect((await errorOf(adopt(config(more)))).message).toMatch(message);
    expect(await tableState(pool, table)).toEqual(before);
  }

  test.each([["without dimensions", undefined] as const, ["with dimensions", DIMENSIONS] as const])(
    "2,000 rows of a column %s keep ids, contents, metadata and search results",
    async (_, dimensions) => {
      const { store, ids } = await filled(2_000, dimensions);
      const before = await results(store);
      const filtered = await results(store, { subject: "vacuum" });

      const report = await adopt(config({ embeddingModel: "hashed-32", embeddingProvider: "test" }));
      expect(report).toMatchObject({ outcome: "adopted", rows: 2_000, dimensions: DIMENSIONS, comparedSearches: 5 });

      const ours = await open();
      expect(await results(ours)).toEqual(before);
      expect(await results(ours, { subject: "vacuum" })).toEqual(filtered);

      await ours.addDocuments([{ id: ids[0]!, pageContent: "rewritten entirely", metadata: { index: -1 } }]);
      await ours.delete({ ids: [ids[1]!] });
      const [rewritten, ...others] = await ours.getByIds([ids[0]!, ids[1]!]);
      expect([rewritten?.pageContent, others]).toEqual(["rewritten entirely", []]);
      expect(await ours.get({ include: [] })).toHaveLength(1_999);
    },
  );

  test("the schema is the one that a new table has", async () => {
    await filled(3, DIMENSIONS);
    await adopt(config());
    const columns = async (table: string): Promise<string[]> => {
      const { rows } = await pool.query<{ line: string }>(
        `select format('%s %s %s %s', attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid)) as line
         from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
         where attrelid = $1::regclass and attnum > 0 and not attisdropped
         union all select pg_get_constraintdef(oid) from pg_constraint where conrelid = $1::regclass and contype <> 'n'
         union all select reloptions::text from pg_class where oid = $1::regclass order by line`,
        [table],
      );
      return rows.map((row) => row.line);
    };
    const fresh = await open({ tableName: `${tableName}_fresh` });
    await fresh.addDocuments([{ pageContent: "a", metadata: {} }]);
    expect(await columns(tableName)).toEqual(await columns(`${tableName}_fresh`));
    const hashes = await pool.query(
      `select bool_and(content_hash = sha256(convert_to(text, 'UTF8'))) as right from ${tableName}`,
    );
    expect(hashes.rows).toEqual([{ right: true }]);
  });

  test("a plan has no effects, and its SQL is what adopting runs", async () => {
    await filled(20);
    const before = await tableState(pool, tableName);
    const plan = await planAdopt(config());
    expect(plan).toMatchObject({ outcome: "planned", rows: 20, dimensions: DIMENSIONS, comparedSearches: 0 });
    expect(await tableState(pool, tableName)).toEqual(before);
    expect((await adopt(config())).steps).toEqual(plan.steps);
    expect((await planAdopt(config())).outcome).toBe("already adopted");
    expect((await adopt(config())).outcome).toBe("already adopted");
  });

  test("initialize() on a table of the base class refuses and names the command", async () => {
    await filled(3);
    const before = await tableState(pool, tableName);
    const { message } = await errorOf(open());
    expect(message).toContain(`npx langchain-pgvector adopt --table ${tableName}`);
    expect(await tableState(pool, tableName)).toEqual(before);
  });

  test("collections keep their rows apart, odd names and rows without one included", async () => {
    const names = ["plain", `it's "odd", \\ and ünï`, "empty"];
    const collectionTableName = `${tableName}_sets`;
    const base = [];
    for (const collectionName of names) {
      base.push(await baseStore(embeddings, { pool, tableName, collectionTableName, collectionName }));
    }
    for (const store of base.slice(0, 2)) await store.addDocuments(sampleDocuments(30, store.collectionName).documents);
    await base[2]!.getOrCreateCollection();
    await pool.query(`update ${collectionTableName} set cmetadata = '{"kept": true}' where name = 'plain'`);
    await pool.query(
      `insert into ${tableName} (text, metadata, embedding) select 'stray', '{}', embedding from ${tableName} limit 3`,
    );
    const before = [await results(base[0]!), await results(base[1]!)];

    await expectRefusal(/--collection-table/);
    const report = await adopt(config({ collectionTableName }));
    expect([...report.collections].sort()).toEqual([...names].sort());

    const ours = await Promise.all(names.map((collectionName) => open({ collectionTableName, collectionName })));
    expect([await results(ours[0]!), await results(ours[1]!)]).toEqual(before);
    expect(await ours[2]!.get()).toEqual([]);
    expect(await (await open()).get()).toHaveLength(3);
    await ours[0]!.addDocuments([{ pageContent: "one more", metadata: {} }]);
    const { rows } = await pool.query(`select cmetadata from ${collectionTableName} where name = 'plain'`);
    expect(rows).toEqual([{ cmetadata: { kept: true } }]);
  });

  test("two tables that share one table of collections are adopted one after the other", async () => {
    const collectionTableName = `${tableName}_sets`;
    const other = `${tableName}_b`;
    const stores = [];
    for (const [table, collectionName] of [
      [tableName, "shared"],
      [other, "shared"],
      [other, "second"],
    ] as const) {
      const store = await baseStore(embeddings, { pool, tableName: table, collectionTableName, collectionName });
      await store.addDocuments(sampleDocuments(12, `${table} ${collectionName}`).documents);
      stores.push(store);
    }
    const before = await Promise.all(stores.map((store) => results(store)));
    await adopt(config({ collectionTableName }));
    // The table that is not adopted yet goes on working with the base class, and may make new collections.
    expect(await results(stores[1]!)).toEqual(before[1]);
    const late = await baseStore(embeddings, { pool, tableName: other, collectionTableName, collectionName: "late" });
    await late.addDocuments(sampleDocuments(4).documents);
    expect((await adopt(config({ tableName: other, collectionTableName }))).collections.toSorted()).toEqual([
      "late",
      "second",
      "shared",
    ]);
    const ours = [
      await open({ collectionTableName, collectionName: "shared" }),
      await open({ tableName: other, collectionTableName, collectionName: "shared" }),
      await open({ tableName: other, collectionTableName, collectionName: "second" }),
    ];
    expect(await Promise.all(ours.map((store) => results(store)))).toEqual(before);
  });

  test("custom columns, an odd schema, and columns and indexes of the user's own", async () => {
    await pool.query(`create schema "Odd ""Schema"" Ünï"`);
    const columns = {
      idColumnName: "key",
      contentColumnName: "body text",
      metadataColumnName: "meta",
      vectorColumnName: "vector",
    };
    const schemaName = `Odd "Schema" Ünï`;
    const table = `"Odd ""Schema"" Ünï".${tableName}`;
    // The base class does not escape quotes in the schema's name, so its statement is spelt out here.
    await pool.query(
      `create table ${table} ("key" uuid not null default gen_random_uuid() primary key, "body text" text, "meta" jsonb, "vector" vector)`,
    );
    await pool.query(
      `alter table ${table} add column words tsvector generated always as (to_tsvector('english', "body text")) stored;
       alter table ${table} add column owner text default 'me';
       create index on ${table} using gin (words);
       create index on ${table} ((meta ->> 'subject'));
       create view ${table.replace(tableName, "contents")} as select "body text", meta from ${table};
       comment on table ${table} is 'of the user'`,
    );
    const { documents, ids } = sampleDocuments(10);
    const vectors = await embeddings.embedDocuments(documents.map((document) => document.pageContent));
    for (const [index, document] of documents.entries()) {
      await pool.query(`insert into ${table} ("key", "body text", meta, vector) values ($1, $2, $3, $4)`, [
        ids[index],
        document.pageContent,
        document.metadata,
        JSON.stringify(vectors[index]),
      ]);
    }
    await expectRefusal(/column names/, { schemaName }, table);
    await adopt(config({ schemaName, columns }));
    const ours = await open({ schemaName, columns });
    const [hit] = await ours.search(documents[4]!.pageContent, { k: 1 });
    expect(hit?.document).toMatchObject({ id: ids[4], metadata: documents[4]!.metadata });
    await ours.addDocuments([{ pageContent: "vacuuming", metadata: {} }]);
    const { rows } = await pool.query(
      `select count(*)::int as all, count(*) filter (where words @@ to_tsquery('vacuum'))::int as found,
        obj_description($1::regclass) as comment, max(owner) as owner from ${table}`,
      [table],
    );
    expect(rows).toEqual([{ all: 11, found: 3, comment: "of the user", owner: "me" }]);
  });

  test("a mixed-case table with rows without content, metadata or vector", async () => {
    tableName = "MixedCase";
    await pool.query(
      `create table "MixedCase" (id uuid not null default gen_random_uuid() primary key, text text, metadata jsonb, embedding vector);
       insert into "MixedCase" (text, metadata, embedding) values ('whole', '{"a": 1}', '[1,0,0]'), (null, '{}', '[0,1,0]'),
         ('no metadata', null, '[0,0,1]'), ('no vector', '{}', null), ('no direction', '{}', '[0,0,0]')`,
    );
    expect(await adopt(config())).toMatchObject({ rows: 5, dimensions: 3 });
    const { rows } = await pool.query(
      `select text, metadata, embedding::text as vector from "MixedCase" order by text`,
    );
    expect(rows).toEqual([
      { text: "", metadata: {}, vector: "[0,1,0]" },
      { text: "no direction", metadata: {}, vector: "[0,0,0]" },
      { text: "no metadata", metadata: {}, vector: "[0,0,1]" },
      { text: "no vector", metadata: {}, vector: null },
      { text: "whole", metadata: { a: 1 }, vector: "[1,0,0]" },
    ]);
  });

  test("an empty table takes its dimensions from the column or the option", async () => {
    await baseStore(embeddings, { pool, tableName });
    await expectRefusal(/set `dimensions` \(--dimensions\)/);
    expect(await adopt(config({ dimensions: 7 }))).toMatchObject({ rows: 0, dimensions: 7, comparedSearches: 0 });
    tableName += "_declared";
    await baseStore(embeddings, { pool, tableName }, 9);
    await expectRefusal(/have 9; leave it out/, { dimensions: 7 });
    expect(await adopt(config())).toMatchObject({ dimensions: 9 });
  });

  async function indexesOf(table: string): Promise<string[]> {
    const { rows } = await pool.query<{ definition: string }>(
      `select pg_get_indexdef(indexrelid) as definition from pg_index where indrelid = $1::regclass and indisvalid and not indisprimary`,
      [table],
    );
    return rows.map((row) => row.definition);
  }

  test("the HNSW index of the base class comes back on the new column, with its metric and parameters", async () => {
    const store = await baseStore(embeddings, { pool, tableName, distanceStrategy: "euclidean" });
    const { documents } = sampleDocuments(200);
    await store.addDocuments(documents);
    await store.createHnswIndex({ dimensions: DIMENSIONS, m: 12, efConstruction: 80, namespace: tableName });
    expect(await indexesOf(tableName)).toHaveLength(1);
    const before = await results(store);

    const report = await adopt(config());
    expect(report.vectorIndexes).toEqual([`${tableName}_embedding_embedding_hnsw_idx`]);
    const indexes = await indexesOf(tableName);
    expect(indexes).toHaveLength(1);
    expect(indexes[0]).toMatch(/hnsw \(embedding vector_l2_ops\) WITH \(m='12', ef_construction='80'\)/);
    expect(await results(await open({ distanceStrategy: "euclidean", efSearch: 200 }))).toEqual(before);
    const { rows } = await pool.query("select metric from langchain_pgvector_models where store = $1", [tableName]);
    expect(rows).toEqual([{ metric: "euclidean" }]);
  });

  test("killed before the index is built again, the next run builds it", async () => {
    const { store } = await filled(100);
    await store.createHnswIndex({ dimensions: DIMENSIONS, namespace: tableName });
    const aborter = new AbortController();
    const interrupted = adopt(
      config({
        signal: aborter.signal,
        onProgress: (message) => message.startsWith("building") && aborter.abort(new Error("interrupted")),
      }),
    );
    expect((await errorOf(interrupted)).message).toBe("interrupted");
    expect(await indexesOf(tableName)).toEqual([]);
    expect((await planAdopt(config())).outcome).toBe("index missing");
    expect((await adopt(config())).outcome).toBe("index built");
    expect(await indexesOf(tableName)).toHaveLength(1);
    expect((await adopt(config())).outcome).toBe("already adopted");
  });

  /** Holds the registry, so that the transaction stops after it has rewritten the table, and then kills it. */
  const killedInTheMiddle = async (kill: (pid: number) => Promise<unknown>, signal?: AbortSignal): Promise<void> => {
    const { store } = await filled(500);
    await open({ tableName: `${tableName}_other` });
    const before = await tableState(pool, tableName);
    const holder = await pool.connect();
    await holder.query("begin; lock table langchain_pgvector_models in share mode");
    const adopting = errorOf(adopt(config({ ...(signal && { signal }) })));
    const waiting = await vi.waitUntil(
      async () => {
        const { rows } = await pool.query<{ pid: number }>(
          "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%adopt/chunks%'",
        );
        return rows[0]?.pid;
      },
      { timeout: 30_000, interval: 20 },
    );
    await kill(waiting);
    await adopting;
    await holder.query("rollback");
    holder.release();
    expect(await tableState(pool, tableName)).toEqual(before);
    const found = await results(store);
    await adopt(config());
    expect(await results(await open())).toEqual(found);
  };

  test("a connection that is cut in the middle leaves the table as it was", () =>
    killedInTheMiddle((pid) => pool.query("select pg_terminate_backend($1)", [pid])));

  test("an abort in the middle leaves the table as it was", () => {
    const aborter = new AbortController();
    return killedInTheMiddle(() => Promise.resolve(aborter.abort(new Error("interrupted"))), aborter.signal);
  });

  test("a table in use is waited for without holding up others", async () => {
    await filled(10);
    const client = await pool.connect();
    await client.query("begin");
    await client.query(`select 1 from ${tableName}`);
    const waits: string[] = [];
    let committed: Promise<unknown> | undefined;
    const { outcome } = await adopt(
      config({
        pool: {
          // The next attempt begins after the commit, however long that takes.
          connect: async () => {
            await committed;
            return pool.connect();
          },
          end: () => pool.end(),
        },
        onProgress: (message) => {
          if (!message.includes("in use")) return;
          waits.push(message);
          committed ??= client.query("commit");
        },
      }),
    );
    await committed;
    client.release();
    expect(outcome).toBe("adopted");
    expect(waits).toEqual([expect.stringContaining("(1 of 20)")]);
  });

  test("two runs at once: one adopts, the other finds it adopted", async () => {
    await filled(50);
    const outcomes = await Promise.allSettled([adopt(config()), adopt(config())]);
    expect(
      outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value.outcome : outcome.reason)).sort(),
    ).toEqual(["adopted", "already adopted"]);
  });

  test("refuses what it cannot carry over, and leaves it untouched", async () => {
    await pool.query(`create table not_base (id bigint primary key, text text, metadata jsonb, embedding vector)`);
    tableName = "not_base";
    await expectRefusal(/was not made by LangChain's PGVectorStore/);

    tableName = "refused";
    await filled(5);
    const bad = async (change: string, undo: string, message: RegExp): Promise<void> => {
      await pool.query(change);
      await expectRefusal(message);
      await pool.query(undo);
    };
    await bad(
      `insert into refused (text, metadata, embedding) select 'list', '[1]', embedding from refused limit 1`,
      `delete from refused where text = 'list'`,
      /not a JSON object/,
    );
    await bad(
      `create view refused_view as select id, text from refused`,
      `drop view refused_view`,
      /depend on it: .*view refused_view.*Drop them, adopt/,
    );
    await bad(
      `create table refused_child (chunk uuid references refused (id))`,
      `drop table refused_child`,
      /constraint refused_child_chunk_fkey on table refused_child/,
    );
    await bad(
      `create table refused_heir () inherits (refused)`,
      `drop table refused_heir`,
      /table refused_heir \(inheritance\)/,
    );
    await bad(
      `alter table refused add column created_at timestamptz`,
      `alter table refused drop column created_at`,
      /column created_at of its own.*rename column created_at/,
    );
    await bad(
      `create index refused_half on refused using hnsw ((embedding::halfvec(32)) halfvec_cosine_ops)`,
      `drop index refused_half`,
      /"refused_half" uses halfvec_cosine_ops/,
    );
    // Last: while an old snapshot is held, an index build still meets the deleted row.
    await bad(
      `insert into refused (id, text, metadata, embedding) values (default, 'short', '{}', '[1,2]')`,
      `delete from refused where text = 'short'`,
      /vectors of 2 and 32 dimensions/,
    );
    expect((await adopt(config())).rows).toBe(5);
  });

  test("refuses collections that share a name or have none", async () => {
    const collectionTableName = `${tableName}_sets`;
    const store = await baseStore(embeddings, { pool, tableName, collectionTableName, collectionName: "twice" });
    await store.addDocuments(sampleDocuments(4).documents);
    await pool.query(`insert into ${collectionTableName} (name) values ('twice')`);
    await expectRefusal(/same name as another, "twice"/, { collectionTableName });
    await pool.query(
      `update ${collectionTableName} set name = null where ctid = (select max(ctid) from ${collectionTableName})`,
    );
    await expectRefusal(/has no name/, { collectionTableName });
    await expectRefusal(/there is none named elsewhere/, { collectionTableName: "elsewhere" });
  });

  test("a missing table and a role that may not alter it are said clearly", async () => {
    expect((await errorOf(adopt(config()))).message).toBe(`There is no table "${tableName}" in "public".`);
    await filled(3);
    await pool.query(`grant select on ${tableName} to public`);
    const app = database.newPool({ connectionString: database.appUrl });
    const before = await tableState(pool, tableName);
    expect((await errorOf(adopt(config({ pool: app })))).message).toMatch(/may not read the tables of the store/);
    expect(await tableState(pool, tableName)).toEqual(before);
  });
});
