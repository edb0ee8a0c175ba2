import { PGVectorStore } from "@langchain/community/vectorstores/pgvector";
import { Document } from "@langchain/core/documents";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import sql from "sql-template-tag";
import { Database } from "../../src/db/database.js";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import { inspectSchema } from "../../src/schema/inspect.js";
import { resolveOptions } from "../../src/store/options.js";
import { describeServer, openServerDatabase, type ServerTestDatabase, testSchema } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { recordQueries } from "../helpers/recorded-queries.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const embeddings = new HashedEmbeddings(8);
const SCHEMA = testSchema().schemaName ?? "public";
const quoted = pg.escapeIdentifier;
const documents = [new Document({ id: "a", pageContent: "alpha" }), new Document({ id: "b", pageContent: "beta" })];

describeServer("the schema of a store", () => {
  let database: ServerTestDatabase;
  let pool: pg.Pool;

  beforeEach(async () => {
    database = await openServerDatabase();
    pool = database.newPool();
  });

  afterEach(() => database.close());

  const initialize = (config: PostgresVectorStoreArgs = {}): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(embeddings, { pool, ...testSchema(), ...config });

  const value = async (text: string, values: unknown[] = []): Promise<unknown> =>
    (await pool.query<{ value: unknown }>(text, values)).rows[0]?.value;

  const registry = (table: string): string => `${quoted(SCHEMA)}.langchain_pgvector_${table}`;

  /** Counts every DDL command of the database from now on. */
  async function watchDdl(): Promise<() => Promise<unknown>> {
    await pool.query(`
      create table public.ddl_log (tag text);
      create function public.log_ddl() returns event_trigger language plpgsql security definer as
        $$ begin insert into public.ddl_log values (tg_tag); end $$;
      create event trigger watch on ddl_command_end execute function public.log_ddl();`);
    return () => value("select count(*)::int as value from public.ddl_log");
  }

  describe("installing", () => {
    test("20 installs at the same time make each thing once", async () => {
      await pool.query("drop extension vector");
      const tables = ["one", "two"];
      const stores = Array.from({ length: 20 }, (_, index) =>
        initialize({ pool: database.newPool({ max: 1 }), tableName: tables[index % 2]!, collectionName: "c" }),
      );
      const settled = await Promise.allSettled(stores);
      expect(settled.filter(({ status }) => status === "rejected")).toEqual([]);
      expect(await value(`select count(*)::int as value from ${registry("models")} where state = 'active'`)).toBe(2);
      const installed = settled.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      await Promise.all(
        installed.map((store, index) => store.addDocuments(documents, { ids: [`a${index}`, `b${index}`] })),
      );
      expect(await (await initialize({ tableName: "one", collectionName: "c" })).get()).toHaveLength(20);
    });

    test("is seen by others as a whole or not at all", async () => {
      const reader = new Database(database.newPool());
      const { layout } = resolveOptions({ pool, ...testSchema() });
      await reader.connection(async (session) => {
        // The snapshot is older than the install, as that of a statement that started just before its commit.
        await session.execute({ name: "begin", sql: sql`begin isolation level repeatable read` });
        const before = await inspectSchema(session, layout);
        await initialize();
        expect(await inspectSchema(session, layout)).toEqual(before);
        await session.execute({ name: "commit", sql: sql`commit` });
        const { chunks, registryExists } = await inspectSchema(session, layout);
        expect([chunks.exists, chunks.revision, registryExists]).toEqual([true, 1, true]);
      });
    });

    test("runs no DDL when the schema is current", async () => {
      const ddl = await watchDdl();
      await initialize({ collectionName: "c" });
      const installed = await ddl();
      expect(installed).toBeGreaterThan(0);
      const store = await initialize({ collectionName: "c" });
      await store.addDocuments(documents);
      await store.similaritySearch("alpha", 1);
      await store.getOrCreateCollection();
      await store.ensureTableInDatabase(8);
      await store.delete({ ids: ["a"] });
      expect(await ddl()).toBe(installed);
    });

    test("embeds nothing when the table is there, and once when it is not", async () => {
      const counting = new HashedEmbeddings(8);
      const config = { pool, ...testSchema() };
      await PostgresVectorStore.initialize(counting, config);
      expect(counting.embedded).toBe(1);
      await PostgresVectorStore.initialize(counting, config);
      expect(counting.embedded).toBe(1);
      await PostgresVectorStore.initialize(counting, { ...config, tableName: "other", dimensions: 8 });
      expect(counting.embedded).toBe(1);
    });

    test("tells the logger what it applied", async () => {
      const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn() };
      await initialize({ logger });
      expect(logger.info.mock.calls.flat()).toContain("langchain-pgvector: applied chunks/0001-create");
      logger.info.mockClear();
      await initialize({ logger });
      expect(logger.info).not.toHaveBeenCalled();
    });

    test("gives up waiting for a lock after two seconds and tries again until it has it", async () => {
      await initialize({ tableName: "first" });
      const holder = await pool.connect();
      await holder.query("begin");
      // Blocks the row that an install writes, not those that it reads.
      await holder.query(`lock table ${registry("revisions")} in share mode`);
      const installing = database.newPool({ max: 2 });
      const queries = recordQueries(installing);
      const started = performance.now();
      const install = initialize({ pool: installing, tableName: "second" });
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      await holder.query("commit");
      holder.release();
      await (await install).addDocuments(documents);
      expect(performance.now() - started).toBeGreaterThan(3_000);
      const attempts = queries.filter(({ text }) => text.includes("install-lock"));
      expect(attempts.length).toBeGreaterThanOrEqual(2);
    });

    test("waits for another installer in the same way", async () => {
      const holder = await pool.connect();
      await holder.query("begin");
      await holder.query("select pg_advisory_xact_lock($1::int8)", [0x6c_63_70_67]);
      const install = initialize({ tableName: "second" });
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      await holder.query("commit");
      holder.release();
      expect(await (await install).addDocuments(documents)).toEqual(["a", "b"]);
    });
  });

  describe("a role without DDL rights", () => {
    const asApp = (): pg.Pool => database.newPool({ connectionString: database.appUrl });
    const grant = async (privileges: string): Promise<void> => {
      await pool.query(`grant usage on schema ${quoted(SCHEMA)} to langchain_pgvector_app`);
      await pool.query(`grant ${privileges} on all tables in schema ${quoted(SCHEMA)} to langchain_pgvector_app`);
    };

    test("works with a current schema", async () => {
      await initialize({ collectionName: "c" });
      await grant("select, insert, update, delete");
      const store = await initialize({ pool: asApp(), collectionName: "c" });
      await store.addDocuments(documents);
      expect((await store.similaritySearch("alpha", 1))[0]!.id).toBe("a");
      await store.delete({ ids: ["a"] });
      expect(await store.get()).toHaveLength(1);
    });

    test("searches when it may only read", async () => {
      await (await initialize()).addDocuments(documents);
      await grant("select");
      const store = await initialize({ pool: asApp() });
      expect((await store.similaritySearch("alpha", 1))[0]!.id).toBe("a");
      expect(await errorOf(store.addDocuments(documents))).toMatchObject({ name: "DatabaseError", sqlstate: "42501" });
    });

    test("is told what is pending and how to cure it", async () => {
      await pool.query(`create schema if not exists ${quoted(SCHEMA)}`);
      await pool.query(`grant usage on schema ${quoted(SCHEMA)} to langchain_pgvector_app`);
      const error = await errorOf(initialize({ pool: asApp() }));
      expect(error.name).toBe("SchemaVersionError");
      expect(error.message).toMatch(/registry, chunks\/0001-create.*npx langchain-pgvector init/);
      const strange = await errorOf(initialize({ pool: asApp(), schemaName: "not_there" }));
      expect(strange.name).toBe("SchemaVersionError");
      expect(strange.message).toMatch(/schema, registry, chunks\/0001-create/);
    });

    test("the owner's login may install", async () => {
      if (SCHEMA !== "public")
        await pool.query(`create schema ${quoted(SCHEMA)} authorization langchain_pgvector_owner`);
      const store = await initialize({ pool: database.newPool({ connectionString: database.ownerUrl }) });
      expect(await store.addDocuments(documents)).toEqual(["a", "b"]);
    });
  });

  describe("a schema that is not current", () => {
    test.each(["skipInitializationCheck", "fromExistingIndex"])("%s makes nothing", async (way) => {
      const ddl = await watchDdl();
      const config = { pool, ...testSchema() };
      const error = await errorOf(
        way === "fromExistingIndex"
          ? PostgresVectorStore.fromExistingIndex(embeddings, config)
          : PostgresVectorStore.initialize(embeddings, { ...config, skipInitializationCheck: true }),
      );
      expect(error.name).toBe("SchemaVersionError");
      expect(error.message).toMatch(/npx langchain-pgvector init/);
      expect(await ddl()).toBe(0);
    });

    test("a newer revision that breaks is refused, and nothing is written", async () => {
      await (await initialize()).addDocuments(documents);
      await pool.query(
        `insert into ${registry("revisions")} (relation, revision, breaking) values ('langchain_chunks', 999, true)`,
      );
      const error = await errorOf(initialize());
      expect(error.name).toBe("SchemaVersionError");
      expect(error.message).toMatch(/revision 999.*Upgrade the package/);
      const lazy = new PostgresVectorStore(embeddings, { pool, ...testSchema() });
      expect((await errorOf(lazy.delete({ ids: ["a"] }))).name).toBe("SchemaVersionError");
      expect(await value(`select count(*)::int as value from ${quoted(SCHEMA)}.langchain_chunks`)).toBe(2);
    });

    test("a newer revision that does not break is fine", async () => {
      await (await initialize()).addDocuments(documents);
      await pool.query(
        `insert into ${registry("revisions")} (relation, revision, breaking) values ('langchain_chunks', 999, false)`,
      );
      expect(await (await initialize()).similaritySearch("alpha", 1)).toHaveLength(1);
    });

    test("a failed opening is not remembered", async () => {
      const store = new PostgresVectorStore(embeddings, { pool, ...testSchema(), skipInitializationCheck: true });
      expect((await errorOf(store.get())).name).toBe("SchemaVersionError");
      await initialize();
      expect(await store.get()).toEqual([]);
    });
  });

  describe("a table that is not ours", () => {
    const foreign = `${quoted(SCHEMA)}.langchain_chunks`;

    test.each([false, true])("is refused and untouched (registry there: %s)", async (registryThere) => {
      if (registryThere) await initialize({ tableName: "other" });
      await pool.query(`create schema if not exists ${quoted(SCHEMA)}; create table ${foreign} (id text, note text)`);
      const ddl = await watchDdl();
      const error = await errorOf(initialize());
      expect(error.name).toBe("SchemaDriftError");
      expect(error.message).toMatch(/"langchain_chunks" exists.*columns: id, note/);
      expect(await ddl()).toBe(0);
    });

    test("made by the base class is refused and untouched, and the command that upgrades it named", async () => {
      await pool.query(`create schema if not exists ${quoted(SCHEMA)}`);
      const { extensionSchemaName } = testSchema();
      // The base class puts names between quotes as they are.
      const inQuotes = (name: string): string => name.replaceAll('"', '""');
      const base = new PGVectorStore(embeddings, {
        pool,
        tableName: "base_table",
        schemaName: inQuotes(SCHEMA),
        ...(extensionSchemaName !== undefined && { extensionSchemaName: inQuotes(extensionSchemaName) }),
      });
      await base.ensureTableInDatabase(8);
      await base.addDocuments(documents);
      const ddl = await watchDdl();
      const error = await errorOf(initialize({ tableName: "base_table" }));
      expect(error.name).toBe("SchemaDriftError");
      expect(error.message).toMatch(/Nothing was changed.*npx langchain-pgvector adopt --table base_table/);
      expect(await ddl()).toBe(0);
      expect(await value(`select count(*)::int as value from ${quoted(SCHEMA)}.base_table`)).toBe(2);
    });

    test("a table of ours with other column names is refused with both", async () => {
      await initialize();
      const error = await errorOf(initialize({ columns: { contentColumnName: "body" } }));
      expect(error.name).toBe("SchemaDriftError");
      expect(error.message).toMatch(/no column "body".*text/);
    });
  });

  test("is what this snapshot says", async () => {
    await initialize({ collectionName: "c" });
    const paths = [SCHEMA, testSchema().extensionSchemaName ?? "public"].map(quoted).join(", ");
    const client = await pool.connect();
    await client.query(`set search_path to ${paths}`);
    const { rows } = await client.query<{ relation: string; line: string }>(
      `with relations as (
         select oid, relname, reloptions from pg_class where relnamespace = to_regnamespace($1) and relkind = 'r'
       )
       select relname as relation, line from (
         select relname, 1 as part, attnum as place, format('%s %s%s%s', attname, format_type(atttypid, atttypmod),
           case when attnotnull then ' not null' end, ' default ' || pg_get_expr(adbin, adrelid)) as line
         from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
         left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
         union all
         select relname, 2, row_number() over (order by pg_get_constraintdef(c.oid)), pg_get_constraintdef(c.oid)
         from relations r join pg_constraint c on c.conrelid = r.oid where c.contype <> 'n'
         union all
         select relname, 3, row_number() over (order by indexname), indexdef
         from relations r join pg_indexes i on i.tablename = relname and i.schemaname = $2
         union all
         select relname, 4, 1, array_to_string(reloptions, ', ') from relations r where reloptions is not null
       ) as lines order by relname, part, place`,
      [quoted(SCHEMA), SCHEMA],
    );
    client.release(true);
    const text = rows.map(({ relation, line }) => `${relation}: ${line}`).join("\n");
    expect(text.replaceAll(`${quoted(SCHEMA)}.`, "public.").replaceAll(`${SCHEMA}.`, "public.")).toMatchInlineSnapshot(`
      "langchain_chunks: tenant_id text not null
      langchain_chunks: collection text not null
      langchain_chunks: id text not null
      langchain_chunks: text text not null
      langchain_chunks: metadata jsonb not null default '{}'::jsonb
      langchain_chunks: content_hash bytea not null
      langchain_chunks: created_at timestamp with time zone not null default now()
      langchain_chunks: embedding vector(8)
      langchain_chunks: CHECK ((id <> ''::text))
      langchain_chunks: CHECK ((jsonb_typeof(metadata) = 'object'::text))
      langchain_chunks: CHECK ((tenant_id <> ''::text))
      langchain_chunks: PRIMARY KEY (tenant_id, collection, id)
      langchain_chunks: CREATE UNIQUE INDEX langchain_chunks_pkey ON public.langchain_chunks USING btree (tenant_id, collection, id)
      langchain_chunks: fillfactor=90
      langchain_chunks_backfill: tenant_id text not null
      langchain_chunks_backfill: version integer not null
      langchain_chunks_backfill: relation text not null
      langchain_chunks_backfill: first_page bigint not null
      langchain_chunks_backfill: end_page bigint not null
      langchain_chunks_backfill: worker uuid
      langchain_chunks_backfill: leased_until timestamp with time zone
      langchain_chunks_backfill: done boolean not null default false
      langchain_chunks_backfill: filled bigint not null default 0
      langchain_chunks_backfill: kept_in_place bigint not null default 0
      langchain_chunks_backfill: CHECK ((tenant_id <> ''::text))
      langchain_chunks_backfill: PRIMARY KEY (tenant_id, version, relation, first_page)
      langchain_chunks_backfill: CREATE UNIQUE INDEX langchain_chunks_backfill_pkey ON public.langchain_chunks_backfill USING btree (tenant_id, version, relation, first_page)
      langchain_chunks_collections: tenant_id text not null
      langchain_chunks_collections: name text not null
      langchain_chunks_collections: uuid uuid not null default gen_random_uuid()
      langchain_chunks_collections: cmetadata jsonb
      langchain_chunks_collections: CHECK ((tenant_id <> ''::text))
      langchain_chunks_collections: PRIMARY KEY (tenant_id, name)
      langchain_chunks_collections: CREATE UNIQUE INDEX langchain_chunks_collections_pkey ON public.langchain_chunks_collections USING btree (tenant_id, name)
      langchain_chunks_loads: tenant_id text not null
      langchain_chunks_loads: collection text not null
      langchain_chunks_loads: name text not null
      langchain_chunks_loads: rows_done bigint not null
      langchain_chunks_loads: last_row bytea
      langchain_chunks_loads: updated_at timestamp with time zone not null default now()
      langchain_chunks_loads: CHECK ((rows_done >= 0))
      langchain_chunks_loads: CHECK ((tenant_id <> ''::text))
      langchain_chunks_loads: PRIMARY KEY (tenant_id, collection, name)
      langchain_chunks_loads: CREATE UNIQUE INDEX langchain_chunks_loads_pkey ON public.langchain_chunks_loads USING btree (tenant_id, collection, name)
      langchain_chunks_messages: tenant_id text not null
      langchain_chunks_messages: session text not null
      langchain_chunks_messages: number bigint not null
      langchain_chunks_messages: message jsonb not null
      langchain_chunks_messages: created_at timestamp with time zone not null default now()
      langchain_chunks_messages: CHECK ((number > 0))
      langchain_chunks_messages: CHECK ((tenant_id <> ''::text))
      langchain_chunks_messages: PRIMARY KEY (tenant_id, session, number)
      langchain_chunks_messages: CREATE UNIQUE INDEX langchain_chunks_messages_pkey ON public.langchain_chunks_messages USING btree (tenant_id, session, number)
      langchain_chunks_set_aside: tenant_id text not null
      langchain_chunks_set_aside: version integer not null
      langchain_chunks_set_aside: collection text not null
      langchain_chunks_set_aside: id text not null
      langchain_chunks_set_aside: content_hash bytea not null
      langchain_chunks_set_aside: reason text not null
      langchain_chunks_set_aside: noted_at timestamp with time zone not null default now()
      langchain_chunks_set_aside: CHECK ((tenant_id <> ''::text))
      langchain_chunks_set_aside: PRIMARY KEY (tenant_id, version, collection, id)
      langchain_chunks_set_aside: CREATE UNIQUE INDEX langchain_chunks_set_aside_pkey ON public.langchain_chunks_set_aside USING btree (tenant_id, version, collection, id)
      langchain_chunks_sources: tenant_id text not null
      langchain_chunks_sources: collection text not null
      langchain_chunks_sources: source text not null
      langchain_chunks_sources: version bigint not null
      langchain_chunks_sources: content_hash bytea
      langchain_chunks_sources: settings text not null
      langchain_chunks_sources: chunk_ids text[] not null
      langchain_chunks_sources: updated_at timestamp with time zone not null default now()
      langchain_chunks_sources: CHECK ((source <> ''::text))
      langchain_chunks_sources: CHECK ((tenant_id <> ''::text))
      langchain_chunks_sources: PRIMARY KEY (tenant_id, collection, source)
      langchain_chunks_sources: CREATE UNIQUE INDEX langchain_chunks_sources_pkey ON public.langchain_chunks_sources USING btree (tenant_id, collection, source)
      langchain_chunks_sources: CREATE INDEX langchain_chunks_sources_tenant_id_collection_content_hash_idx ON public.langchain_chunks_sources USING btree (tenant_id, collection, content_hash)
      langchain_chunks_vector_cache: tenant_id text not null
      langchain_chunks_vector_cache: model_version integer not null
      langchain_chunks_vector_cache: text_hash bytea not null
      langchain_chunks_vector_cache: embedding bytea not null
      langchain_chunks_vector_cache: created_at timestamp with time zone not null default now()
      langchain_chunks_vector_cache: CHECK ((tenant_id <> ''::text))
      langchain_chunks_vector_cache: PRIMARY KEY (tenant_id, model_version, text_hash)
      langchain_chunks_vector_cache: CREATE UNIQUE INDEX langchain_chunks_vector_cache_pkey ON public.langchain_chunks_vector_cache USING btree (tenant_id, model_version, text_hash)
      langchain_pgvector_epochs: store text not null
      langchain_pgvector_epochs: epoch bigint not null
      langchain_pgvector_epochs: overrides boolean not null default false
      langchain_pgvector_epochs: PRIMARY KEY (store)
      langchain_pgvector_epochs: CREATE UNIQUE INDEX langchain_pgvector_epochs_pkey ON public.langchain_pgvector_epochs USING btree (store)
      langchain_pgvector_maintenance: store text not null
      langchain_pgvector_maintenance: kind text not null
      langchain_pgvector_maintenance: name text not null
      langchain_pgvector_maintenance: definition text not null
      langchain_pgvector_maintenance: note text
      langchain_pgvector_maintenance: touched_at timestamp with time zone not null default now()
      langchain_pgvector_maintenance: CHECK ((kind = ANY (ARRAY['index'::text, 'autovacuum'::text])))
      langchain_pgvector_maintenance: PRIMARY KEY (store, kind, name)
      langchain_pgvector_maintenance: CREATE UNIQUE INDEX langchain_pgvector_maintenance_pkey ON public.langchain_pgvector_maintenance USING btree (store, kind, name)
      langchain_pgvector_models: store text not null
      langchain_pgvector_models: version integer not null
      langchain_pgvector_models: column_name text not null
      langchain_pgvector_models: provider text
      langchain_pgvector_models: model text
      langchain_pgvector_models: revision text
      langchain_pgvector_models: dimensions integer not null
      langchain_pgvector_models: full_dimensions integer not null
      langchain_pgvector_models: metric text not null
      langchain_pgvector_models: storage_type text not null
      langchain_pgvector_models: quantization text not null default 'none'::text
      langchain_pgvector_models: document_prefix text not null default ''::text
      langchain_pgvector_models: query_prefix text not null default ''::text
      langchain_pgvector_models: normalized boolean
      langchain_pgvector_models: fingerprint text not null
      langchain_pgvector_models: probe bytea
      langchain_pgvector_models: derived_from integer
      langchain_pgvector_models: comparison jsonb
      langchain_pgvector_models: state text not null
      langchain_pgvector_models: created_at timestamp with time zone not null default now()
      langchain_pgvector_models: CHECK ((dimensions > 0))
      langchain_pgvector_models: CHECK ((full_dimensions >= dimensions))
      langchain_pgvector_models: CHECK ((metric = ANY (ARRAY['cosine'::text, 'euclidean'::text, 'innerProduct'::text])))
      langchain_pgvector_models: CHECK ((quantization = ANY (ARRAY['none'::text, 'binary'::text])))
      langchain_pgvector_models: CHECK ((state = ANY (ARRAY['building'::text, 'ready'::text, 'active'::text, 'retiring'::text, 'dropped'::text])))
      langchain_pgvector_models: CHECK ((storage_type = ANY (ARRAY['vector'::text, 'halfvec'::text, 'sparsevec'::text])))
      langchain_pgvector_models: PRIMARY KEY (store, version)
      langchain_pgvector_models: CREATE UNIQUE INDEX langchain_pgvector_models_active ON public.langchain_pgvector_models USING btree (store) WHERE (state = 'active'::text)
      langchain_pgvector_models: CREATE UNIQUE INDEX langchain_pgvector_models_pkey ON public.langchain_pgvector_models USING btree (store, version)
      langchain_pgvector_processes: store text not null
      langchain_pgvector_processes: process uuid not null
      langchain_pgvector_processes: label text not null
      langchain_pgvector_processes: fingerprints text[] not null
      langchain_pgvector_processes: seen_at timestamp with time zone not null default now()
      langchain_pgvector_processes: PRIMARY KEY (store, process)
      langchain_pgvector_processes: CREATE UNIQUE INDEX langchain_pgvector_processes_pkey ON public.langchain_pgvector_processes USING btree (store, process)
      langchain_pgvector_recall: store text not null
      langchain_pgvector_recall: index_name text not null
      langchain_pgvector_recall: measured_at timestamp with time zone not null default clock_timestamp()
      langchain_pgvector_recall: setting text not null
      langchain_pgvector_recall: k integer not null
      langchain_pgvector_recall: queries integer not null
      langchain_pgvector_recall: recall double precision not null
      langchain_pgvector_recall: milliseconds double precision not null
      langchain_pgvector_recall: entries bigint not null
      langchain_pgvector_recall: PRIMARY KEY (store, index_name, measured_at)
      langchain_pgvector_recall: CREATE UNIQUE INDEX langchain_pgvector_recall_pkey ON public.langchain_pgvector_recall USING btree (store, index_name, measured_at)
      langchain_pgvector_revisions: relation text not null
      langchain_pgvector_revisions: revision integer not null
      langchain_pgvector_revisions: breaking boolean not null
      langchain_pgvector_revisions: applied_at timestamp with time zone not null default now()
      langchain_pgvector_revisions: PRIMARY KEY (relation, revision)
      langchain_pgvector_revisions: CREATE UNIQUE INDEX langchain_pgvector_revisions_pkey ON public.langchain_pgvector_revisions USING btree (relation, revision)"
    `);
  });
});
