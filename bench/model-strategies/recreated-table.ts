import type pg from "pg";
import { TextArrayParameter, VectorArrayParameter } from "../../src/db/codec.js";
import { numberOf, type PlantedEmbeddings } from "../reembed/planted.js";

const BATCH = 200;

/**
 * The classic way to change the model, as it is done by hand: a second table with the other dimensions, kept up to date
 * by a trigger, filled, indexed, and swapped with the first one by name.
 */
export class RecreatedTable {
  constructor(
    private readonly pool: pg.Pool,
    private readonly table: string,
    private readonly model: PlantedEmbeddings,
  ) {}

  /** The second table, and the trigger that copies every write to it; new rows come without their vector. */
  async create(): Promise<void> {
    const { table, model } = this;
    await this.pool.query(`
      create table ${table}_next (like ${table} including all) with (fillfactor = 90);
      alter table ${table}_next drop column embedding;
      alter table ${table}_next add column embedding vector(${model.dimensions});
      create function ${table}_copy() returns trigger language plpgsql as $$ begin
        if tg_op = 'DELETE' then
          delete from ${table}_next n where n.tenant_id = old.tenant_id and n.collection = old.collection and n.id = old.id;
        elsif tg_op = 'UPDATE' and new.content_hash = old.content_hash then
          update ${table}_next n set metadata = new.metadata
          where n.tenant_id = new.tenant_id and n.collection = new.collection and n.id = new.id;
        else
          insert into ${table}_next (tenant_id, collection, id, text, metadata, content_hash)
          values (new.tenant_id, new.collection, new.id, new.text, new.metadata, new.content_hash)
          on conflict (tenant_id, collection, id) do update set text = excluded.text, metadata = excluded.metadata,
            content_hash = excluded.content_hash, embedding = null;
        end if;
        return null;
      end $$;
      create trigger ${table}_copy after insert or update or delete on ${table} for each row execute function ${table}_copy();`);
  }

  /** Copies all rows, each with its vector, in the order of the heap. */
  async fill(): Promise<void> {
    const { rows: all } = await this.pool.query<{ id: string; text: string }>(
      `select id, text from ${this.table} order by ctid`,
    );
    const { rows: types } = await this.pool.query<{ oid: number }>("select 'vector'::regtype::oid::int as oid");
    for (let start = 0; start < all.length; start += BATCH) {
      const batch = all.slice(start, start + BATCH);
      const ids = new TextArrayParameter(batch.map(({ id }) => id));
      const vectors = new VectorArrayParameter(
        batch.map(({ text }) => this.model.vectorOf(numberOf(text))),
        types[0]!.oid,
      );
      await this.pool.query(
        `insert into ${this.table}_next (tenant_id, collection, id, text, metadata, content_hash, embedding)
         select o.tenant_id, o.collection, o.id, o.text, o.metadata, o.content_hash, w.vector
         from unnest($1::text[], $2::vector[]) as w (id, vector) join ${this.table} o on o.id = w.id
         on conflict (tenant_id, collection, id) do update set embedding = excluded.embedding`,
        [ids, vectors],
      );
    }
  }

  async index(): Promise<void> {
    // As many as the library takes: none.
    await this.pool.query(`alter table ${this.table}_next set (parallel_workers = 0)`);
    await this.pool.query(
      `create index concurrently on ${this.table}_next using hnsw (embedding vector_cosine_ops) with (m = 16, ef_construction = 128)`,
    );
  }

  /**
   * Swaps the names, with what hangs on the table by its identity: the foreign key of another table, and rights.
   *
   * @returns milliseconds under locks that reads wait for.
   */
  async swap(): Promise<number> {
    const { table } = this;
    const client = await this.pool.connect();
    try {
      await client.query(`begin; lock table ${table}, ${table}_next, ${table}_notes in access exclusive mode`);
      const locked = performance.now();
      await client.query(`
        drop trigger ${table}_copy on ${table};
        alter table ${table} rename to ${table}_before;
        alter table ${table}_next rename to ${table};
        alter table ${table}_notes drop constraint ${table}_notes_fk;
        alter table ${table}_notes add constraint ${table}_notes_fk foreign key (tenant_id, collection, id)
          references ${table} (tenant_id, collection, id) on delete cascade not valid;
        grant select, insert, update, delete on ${table} to pg_read_all_data;
        commit`);
      return performance.now() - locked;
    } finally {
      client.release();
    }
  }

  /** Until it is done nobody may rely on the foreign key. */
  async validate(): Promise<void> {
    await this.pool.query(`alter table ${this.table}_notes validate constraint ${this.table}_notes_fk`);
  }

  /** Names back. @returns how many of the rows that were written since are not there any more. */
  async rollback(written: readonly string[]): Promise<number> {
    const { table } = this;
    await this.pool.query(`
      begin;
      alter table ${table} rename to ${table}_next;
      alter table ${table}_before rename to ${table};
      commit`);
    const { rows } = await this.pool.query<{ found: number }>(
      `select count(*)::int as found from ${table} where id = any($1)`,
      [written],
    );
    await this.pool.query(`
      begin;
      alter table ${table} rename to ${table}_before;
      alter table ${table}_next rename to ${table};
      commit`);
    return written.length - rows[0]!.found;
  }

  async dropOld(): Promise<void> {
    await this.pool.query(`drop table ${this.table}_before cascade`);
  }
}
