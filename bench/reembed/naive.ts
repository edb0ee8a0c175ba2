import type pg from "pg";
import { progress, timed } from "../harness.js";

/** The classic way to fill a column: a table at the default fillfactor with a live index, in the order of its heap. */
export class NaiveCopy {
  constructor(
    private readonly pool: pg.Pool,
    private readonly dimensions: number,
  ) {}

  /** Copies a store's rows and builds the index that its own has. */
  async make(table: string): Promise<void> {
    progress("a copy at the default fillfactor, with the same live index");
    await this.pool.query(`
      create table naive with (fillfactor = 100) as
        select id, text, metadata, content_hash, embedding from ${table} where embedding is not null`);
    await this.pool.query("create unique index on naive (id)");
    await this.pool.query(
      "create index on naive using hnsw (embedding vector_cosine_ops) with (m = 16, ef_construction = 128)",
    );
    await this.pool.query(`alter table naive add column next halfvec(${this.dimensions})`);
  }

  /** @returns milliseconds that the updates of so many rows took, two hundred in a transaction. */
  async fill(rows: number): Promise<number> {
    progress(`filling ${rows} rows of the copy`);
    const { rows: ids } = await this.pool.query<{ id: string }>(`select id from naive order by ctid limit ${rows}`);
    const vector = `[${Array.from({ length: this.dimensions }, (_, i) => (i % 7) / 7).join(",")}]`;
    return timed(async () => {
      for (let start = 0; start < ids.length; start += 200) {
        const batch = ids.slice(start, start + 200).map(({ id }) => id);
        await this.pool.query("update naive set next = $2::halfvec where id = any($1)", [batch, vector]);
      }
    });
  }

  async drop(): Promise<void> {
    await this.pool.query("drop table naive");
  }
}
