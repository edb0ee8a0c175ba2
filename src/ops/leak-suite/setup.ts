import { randomBytes } from "node:crypto";
import { raw } from "sql-template-tag";
import { Database } from "../../db/database.js";
import { quoteIdentifier, quoteLiteral, quoteQualified } from "../../db/identifiers.js";
import { isEmbedded, type Pool } from "../../db/pool.js";
import {
  backfillTables,
  EPOCHS_TABLE,
  loadsTable,
  messagesTable,
  MODELS_TABLE,
  REVISIONS_TABLE,
  sourceTables,
  TENANTS_TABLE,
} from "../../schema/layout.js";
import { vectorTriggerFunction } from "../../schema/vector-trigger.js";
import { dropLexicalFunctions, lexicalName, lexicalTables } from "../../schema/lexical.js";
import { rowSecuritySql } from "../../schema/tenancy.js";
import { openStore, scopeTo, type OpenStore } from "../../store/open.js";
import { resolveOptions, type PostgresVectorStoreArgs } from "../../store/options.js";
import { PostgresVectorStore } from "../../store/postgres-vector-store.js";
import { LeakEmbeddings, NextLeakEmbeddings } from "./embeddings.js";
import { DIMENSIONS, Ownership } from "./markers.js";
import { Random } from "../random.js";
import { Tally } from "./tally.js";
import { COLLECTIONS, createTenants, rowKey, rowOf, SHARED_IDS, type Collection } from "./tenants.js";
import { toDocuments } from "./step.js";
import { World } from "./world.js";

export interface SetupOptions {
  /** What the calls of tenants run over. */
  readonly pool: Pool;
  /** What makes and drops the tables. */
  readonly adminPool: Pool;
  readonly poolSize: number;
  readonly schemaName: string | undefined;
  readonly extensionSchemaName: string | undefined;
  readonly appRole: string | undefined;
  readonly partitioned: boolean;
  readonly tenants: number;
  readonly seed: number;
  readonly signal: AbortSignal | undefined;
}

/** The world of a run, and the way to be rid of it. */
export interface Ground {
  readonly world: World;
  /** Unqualified name of the table of chunks. */
  readonly table: string;
  readonly schema: string;
  drop(): Promise<void>;
}

/** Makes a store of its own under a random name. The tables are empty until {@link populate}. */
export async function createGround(options: SetupOptions): Promise<Ground> {
  const { pool, adminPool, schemaName, extensionSchemaName, appRole } = options;
  const tableName = `langchain_leak_${randomBytes(5).toString("hex")}`;
  const embeddings = new LeakEmbeddings();
  const next = new NextLeakEmbeddings();
  const common = {
    tableName,
    tenancy: "rls",
    dimensions: DIMENSIONS,
    // Filters on these are answered by columns and indexes, those on other keys by the JSON.
    promotedKeys: { owner: "text", n: "number" },
    // Most adds then take several statements of one transaction.
    chunkSize: 2,
    lexical: true,
    embedders: { [next.fingerprint]: next },
    ...(options.partitioned && { partitions: "by-tenant" as const }),
    ...(schemaName !== undefined && { schemaName }),
    ...(extensionSchemaName !== undefined && { extensionSchemaName }),
    ...(appRole !== undefined && { appRole }),
  } as const;
  const args = (collection: Collection): PostgresVectorStoreArgs => ({ ...common, pool, collectionName: collection });
  const admin = new Database(adminPool);
  const adminArgs = { ...args(COLLECTIONS[0]), pool: adminPool };
  let made: OpenStore | undefined;
  try {
    made = await openStore(admin, resolveOptions(adminArgs), embeddings);
    await createNotes(made);
    const administrator = new PostgresVectorStore(embeddings, adminArgs);
    await administrator.createHnswIndex({ m: 8, efConstruction: 32 });
    // A second version, which every write has to supply too.
    await administrator.models.add({ embeddings: next });
    await administrator.models.backfill({ maxSlowdown: false });
    const random = new Random(options.seed);
    const tenants = createTenants(options.tenants, random);
    const ownership = new Ownership();
    for (const { marker, index } of tenants) ownership.claim(marker, index);
    const { schema } = made;
    const name = (suffix: string): string => quoteQualified(schema, `${tableName}${suffix}`);
    const world: World = new World(
      tenants,
      new Tally(ownership),
      {
        chunks: name(""),
        collections: name("_collections"),
        notes: name("_notes"),
        registry: quoteQualified(schema, TENANTS_TABLE),
      },
      embeddings,
      storesOf(embeddings, args),
      storesOf(embeddings, args, () => world.request.getStore() as string),
      administrator,
      {
        pool,
        embedded: isEmbedded(pool),
        poolSize: options.poolSize,
        ...(await rightsOf(new Database(pool), args(COLLECTIONS[0]), embeddings)),
        args,
      },
    );
    const drop = (): Promise<void> => dropTables(admin, schema, tableName);
    return { world, table: tableName, schema, drop };
  } catch (error) {
    if (made !== undefined) await dropTables(admin, made.schema, tableName).catch(() => undefined);
    throw error;
  }
}

/** Gives every tenant rows in both collections, most of them under ids that all tenants use. */
export async function populate(world: World, seed: number, signal: AbortSignal | undefined): Promise<void> {
  const random = new Random(seed, -1);
  for (const [tenant, collection] of world.places()) {
    signal?.throwIfAborted();
    const ids = [...SHARED_IDS.slice(0, 4 + random.below(SHARED_IDS.length - 4)), `ghost-${tenant.index}`];
    const rows = new Map(ids.map((id) => [id, rowOf(tenant, id, random)]));
    if (collection === "alpha") rows.set(`only-${tenant.index}`, rowOf(tenant, `only-${tenant.index}`, random));
    const store = world.view(tenant, collection);
    await store.addDocuments(toDocuments(rows));
    for (const [id, row] of rows) tenant.rows.set(rowKey(collection, id), row);
    world.tally.ownership.claim(await store.getOrCreateCollection(), tenant.index);
  }
}

function storesOf(
  embeddings: LeakEmbeddings,
  args: (collection: Collection) => PostgresVectorStoreArgs,
  tenantId?: () => string,
): Record<Collection, PostgresVectorStore> {
  const make = (collection: Collection): PostgresVectorStore =>
    new PostgresVectorStore(embeddings, { ...args(collection), ...(tenantId !== undefined && { tenantId }) });
  return { alpha: make("alpha"), beta: make("beta") };
}

/** A table as users have beside a store: rows of tenants with a foreign key on the chunks. */
async function createNotes(store: OpenStore): Promise<void> {
  const { layout } = store.options;
  const notes = `${layout.table}_notes`;
  const table = quoteQualified(store.schema, notes);
  const script = `
    create table ${table} (
      tenant_id text not null,
      collection text not null,
      chunk_id text not null,
      note text not null,
      primary key (tenant_id, collection, chunk_id),
      foreign key (tenant_id, collection, chunk_id)
        references ${quoteQualified(store.schema, layout.table)} (tenant_id, collection, id)
        on update cascade on delete cascade
    );
    ${rowSecuritySql(store.schema, layout, notes)};
    grant select, insert, update, delete on ${table} to ${quoteIdentifier(layout.appRole!)};`;
  await store.database.transaction({}, (session) => session.execute({ name: "create-notes", sql: raw(script) }));
}

/** What the role of the calls, and the connection's own behind it, may do beyond an application. */
async function rightsOf(
  database: Database,
  args: PostgresVectorStoreArgs,
  embeddings: LeakEmbeddings,
): Promise<{ ownsTables: boolean; administers: boolean }> {
  const store = scopeTo(await openStore(database, resolveOptions(args), embeddings, { mustExist: true }), "nobody");
  const on = (name: string): string => quoteLiteral(quoteQualified(store.schema, name));
  const owner = {
    name: "table-owner",
    sql: raw(`
      select pg_has_role(current_user, relowner, 'usage') as yes from pg_class
      where oid = ${on(store.options.layout.table)}::regclass`),
  };
  const administrator = {
    name: "tenant-administrator",
    sql: raw(`select has_table_privilege(${on(TENANTS_TABLE)}, 'update') as yes`),
  };
  const { settings } = store;
  return {
    ownsTables: (await database.execute(owner, { settings })).rows[0]!["yes"] as boolean,
    administers: (await database.execute(administrator)).rows[0]!["yes"] as boolean,
  };
}

async function dropTables(admin: Database, schema: string, table: string): Promise<void> {
  const on = (name: string): string => quoteQualified(schema, name);
  const collections = `${table}_collections`;
  const own = [
    collections,
    loadsTable({ table }),
    messagesTable({ table }),
    ...sourceTables({ table }),
    ...backfillTables({ table }),
  ];
  const script = `
    drop table if exists ${[`${table}_notes`, table, ...own, ...lexicalTables(table)].map(on).join(", ")} cascade;
    ${dropLexicalFunctions(schema, table)}
    drop sequence if exists ${lexicalName(schema, table, "segment")};
    delete from ${on(TENANTS_TABLE)} where store = ${quoteLiteral(table)};
    drop function if exists ${vectorTriggerFunction(schema, table)}();
    delete from ${on(EPOCHS_TABLE)} where store = ${quoteLiteral(table)};
    delete from ${on(MODELS_TABLE)} where store = ${quoteLiteral(table)};
    delete from ${on(REVISIONS_TABLE)} where relation in (${[table, ...own, lexicalTables(table)[0]].map(quoteLiteral).join(", ")});`;
  await admin.transaction({}, (session) => session.execute({ name: "drop-leak-suite", sql: raw(script) }));
}
