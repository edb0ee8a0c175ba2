import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { PGVectorStore as BaseStore } from "@langchain/community/vectorstores/pgvector";
import type pg from "pg";
import { PostgresVectorStore } from "../../src/index.js";
import type { ServerTestDatabase } from "../../test/helpers/open-database.js";
import { NoEmbeddings } from "../tenancy/data.js";
import { Chunks } from "./data.js";

const COLUMNS = "(tenant_id, collection, id, text, metadata, content_hash, embedding)";

/** The tables that the ways of storing rows write to, all of one shape but for the base class's own. */
export interface Places {
  readonly chunks: Chunks;
  readonly pool: pg.Pool;
  /** Tenancy off. */
  readonly off: PostgresVectorStore;
  /** Under row-level security, as the login of an application. */
  readonly rls: PostgresVectorStore;
  readonly base: BaseStore;
  /** Writes the first rows to a file in the binary format of COPY. */
  prepareFile(rows: number): Promise<void>;
  /** Loads that file with psql. */
  copyFile(): void;
  close(): Promise<void>;
}

export const TABLES = { off: "load_off", rls: "load_rls", copy: "load_copy", base: "load_base" } as const;

export async function openPlaces(database: ServerTestDatabase, dimensions: number, folder: string): Promise<Places> {
  const pool = database.newPool({ max: 6 });
  const chunks = new Chunks(dimensions);
  const off = await PostgresVectorStore.initialize(new NoEmbeddings(), { pool, tableName: TABLES.off, dimensions });
  const rlsArgs = { tableName: TABLES.rls, dimensions, tenancy: "rls", tenantId: "a" } as const;
  await PostgresVectorStore.initialize(new NoEmbeddings(), { ...rlsArgs, pool });
  const app = database.newPool({ connectionString: database.appUrl, max: 4 });
  const rls = await PostgresVectorStore.fromExistingIndex(new NoEmbeddings(), { ...rlsArgs, pool: app });
  const base = new BaseStore(new NoEmbeddings(), { pool, tableName: TABLES.base });
  await base.ensureTableInDatabase(dimensions);
  await pool.query(`create table ${TABLES.copy} (like ${TABLES.off} including all)`);
  const file = join(folder, "ready.bin");
  const binaries = process.env["POSTGRES_BIN"];
  const psql = (command: string): void => {
    const program = binaries === undefined ? "psql" : join(binaries, "psql");
    execFileSync(program, [database.url, "-qX", "-v", "ON_ERROR_STOP=1", "-c", command]);
  };
  return {
    chunks,
    pool,
    off,
    rls,
    base,
    async prepareFile(rows) {
      await off.bulkLoad(chunks.items(rows));
      psql(`\\copy (select ${COLUMNS.slice(1, -1)} from ${TABLES.off} order by id) to '${file}' with (format binary)`);
      await pool.query(`truncate ${TABLES.off}`);
    },
    copyFile: () => psql(`\\copy ${TABLES.copy} ${COLUMNS} from '${file}' with (format binary)`),
    async close() {
      await app.end();
      // With all that the library keeps beside its tables.
      const { rows } = await pool.query<{ name: string }>(
        "select quote_ident(tablename) as name from pg_tables where schemaname = current_schema()",
      );
      await pool.query(`drop table ${rows.map(({ name }) => name).join(", ")} cascade`);
      await pool.end();
    },
  };
}
