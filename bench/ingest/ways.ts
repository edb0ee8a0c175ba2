import type pg from "pg";
import { COPY_DATA, copyIn } from "../../src/db/copy-in.js";
import type { Competitor } from "../harness.js";
import { type Places, TABLES } from "./places.js";

export interface Way extends Competitor {
  readonly name: string;
  /** Rows that one run stores. */
  readonly rows: number;
}

/** All the ways to store rows with their vectors into tables without a vector index. */
export function waysOf(places: Places, rows: number, few: number): Way[] {
  const { chunks, off, rls, base, pool } = places;
  const some = Math.min(few, rows);
  const small = chunks.list(some);
  const five = chunks.list(500);
  const empty = (name: string) => async (): Promise<void> => {
    await pool.query(`truncate ${name}`);
    await pool.query("checkpoint");
  };
  let baseIds: string[] = [];
  return [
    { name: "psql \\copy binary", rows, prepare: empty(TABLES.copy), run: async () => places.copyFile() },
    {
      name: "bulkLoad, tenancy off",
      rows,
      prepare: empty(TABLES.off),
      run: () => off.bulkLoad(chunks.items(rows), { vacuum: false }),
    },
    {
      name: "bulkLoad, RLS",
      rows,
      prepare: empty(TABLES.rls),
      run: () => rls.bulkLoad(chunks.items(rows), { vacuum: false }),
    },
    {
      name: "bulkLoad upsert, tenancy off",
      rows,
      prepare: async () => {
        await empty(TABLES.off)();
        await off.bulkLoad(chunks.items(rows));
      },
      run: () => off.bulkLoad(chunks.items(rows), { vacuum: false }),
    },
    {
      name: "bulkLoad upsert, RLS",
      rows,
      prepare: async () => {
        await empty(TABLES.rls)();
        await rls.bulkLoad(chunks.items(rows));
      },
      run: () => rls.bulkLoad(chunks.items(rows), { vacuum: false }),
    },
    {
      name: "addVectors of 500",
      rows: some,
      prepare: empty(TABLES.off),
      run: async () => {
        for (let at = 0; at < some; at += 500) {
          await off.addVectors(small.vectors.slice(at, at + 500), small.documents.slice(at, at + 500));
        }
      },
    },
    {
      name: "base class addVectors",
      rows: some,
      prepare: empty(TABLES.base),
      run: () => base.addVectors(small.vectors, bare(small.documents)),
    },
    {
      name: "base class addVectors of 500",
      rows: 500,
      prepare: empty(TABLES.base),
      run: () => base.addVectors(five.vectors, bare(five.documents)),
    },
    {
      name: "base class delete + add",
      rows: some,
      prepare: async () => {
        await empty(TABLES.base)();
        await base.addVectors(small.vectors, bare(small.documents));
        const { rows: stored } = await pool.query<{ id: string }>(`select id::text from ${TABLES.base}`);
        baseIds = stored.map(({ id }) => id);
      },
      run: async () => {
        await base.delete({ ids: baseIds });
        await base.addVectors(small.vectors, bare(small.documents));
      },
    },
    { name: "an INSERT a row", rows: some, prepare: empty(TABLES.copy), run: () => inserts(pool, small, 1) },
    { name: "INSERTs of 100 rows", rows: some, prepare: empty(TABLES.copy), run: () => inserts(pool, small, 100) },
    { name: "COPY text", rows: some, prepare: empty(TABLES.copy), run: () => copyText(pool, small) },
  ];
}

type Rows = ReturnType<Places["chunks"]["list"]>;

/** The base class takes UUIDs only. */
function bare(documents: Rows["documents"]): { pageContent: string; metadata: Record<string, unknown> }[] {
  return documents.map(({ pageContent, metadata }) => ({ pageContent, metadata }));
}

function valuesOf({ documents, vectors }: Rows, i: number): string[] {
  const { id, pageContent, metadata } = documents[i]!;
  return ["default", "", id!, pageContent, JSON.stringify(metadata), "\\x00", `[${vectors[i]!.join(",")}]`];
}

async function inserts(pool: pg.Pool, rows: Rows, batch: number): Promise<void> {
  for (let start = 0; start < rows.documents.length; start += batch) {
    const count = Math.min(batch, rows.documents.length - start);
    const values = Array.from({ length: count }, (_, i) => valuesOf(rows, start + i)).flat();
    const places = Array.from(
      { length: count },
      (_, row) => `(${Array.from({ length: 7 }, (__, column) => `$${7 * row + column + 1}`).join(", ")})`,
    );
    await pool.query(
      `insert into ${TABLES.copy} (tenant_id, collection, id, text, metadata, content_hash, embedding)
       values ${places.join(", ")}`,
      values,
    );
  }
}

/** What a script would write: one text of all rows, sent in one piece. */
async function copyText(pool: pg.Pool, rows: Rows): Promise<void> {
  const escape = (text: string): string =>
    text.replaceAll("\\", "\\\\").replaceAll("\t", "\\t").replaceAll("\n", "\\n");
  const lines = rows.documents.map((_, i) => `${valuesOf(rows, i).map(escape).join("\t")}\n`);
  const data = Buffer.from(lines.join(""));
  const head = Buffer.alloc(5);
  head[0] = COPY_DATA;
  head.writeInt32BE(data.length + 4, 1);
  const client = await pool.connect();
  try {
    const text = `copy ${TABLES.copy} (tenant_id, collection, id, text, metadata, content_hash, embedding) from stdin`;
    await copyIn(client, text, { buffers: 1, chunks: () => [Buffer.concat([head, data])] });
  } finally {
    client.release();
  }
}
