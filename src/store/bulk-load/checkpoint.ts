import { createHash } from "node:crypto";
import sql from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { qualified } from "../../db/identifiers.js";
import { IngestError } from "../../errors.js";
import { loadsTable } from "../../schema/layout.js";
import type { ScopedStore } from "../open.js";
import type { Batch } from "./batch.js";
import type { SourceRow } from "./read-groups.js";

type Fingerprinted = Pick<SourceRow, "id" | "ownId" | "sourceHash">;

/** How far a load has come, as the database keeps it. */
export class Checkpoint {
  readonly #table;
  /** Rows of the source that an earlier call had dealt with. */
  rowsDone = 0;
  #lastRow: string | null = null;

  constructor(
    private readonly store: ScopedStore,
    private readonly name: string | undefined,
  ) {
    this.#table = qualified(store.schema, loadsTable(store.options.layout));
  }

  /** Reads what an earlier call of the same name has left. */
  async open(): Promise<void> {
    if (this.name === undefined) return;
    const { tenant, options, settings } = this.store;
    const { rows } = await this.store.database.execute(
      {
        name: "read-checkpoint",
        sql: sql`
          select rows_done::float8 as done, encode(last_row, 'hex') as last from ${this.#table}
          where tenant_id = ${tenant}::text and collection = ${options.collection}::text and name = ${this.name}::text`,
      },
      { settings },
    );
    const found = rows[0] as { done: number; last: string | null } | undefined;
    this.rowsDone = found?.done ?? 0;
    this.#lastRow = found?.last ?? null;
  }

  /** @throws IngestError when the row that the earlier call ended with has become another. */
  check(row: Fingerprinted | undefined): void {
    if (this.#lastRow === null) return;
    if (row !== undefined && fingerprint(row).toString("hex") === this.#lastRow) return;
    throw new IngestError(
      `Row ${this.rowsDone - 1} of the source is not what it was when the load ${JSON.stringify(this.name)} stored it: the ` +
        "source has changed. Use another checkpoint name to load it from its beginning; ids that are there are overwritten.",
      this.rowsDone - 1,
    );
  }

  /** In the transaction that stores the batch. */
  async record(session: Session, batch: Batch): Promise<void> {
    if (this.name === undefined) return;
    const { tenant, options } = this.store;
    const last = batch.last;
    // Of a row that was rejected nothing is known to compare with later.
    const print = last === undefined || last.row !== batch.end - 1 ? null : fingerprint(last);
    await session.execute({
      name: "write-checkpoint",
      sql: sql`
        insert into ${this.#table} as l (tenant_id, collection, name, rows_done, last_row)
        values (${tenant}::text, ${options.collection}::text, ${this.name}::text, ${batch.end}::int8, ${print}::bytea)
        on conflict (tenant_id, collection, name) do update set
          rows_done = excluded.rows_done, last_row = excluded.last_row, updated_at = now()`,
    });
  }

  /** The load has ended: the name is free for another one. */
  async close(): Promise<void> {
    if (this.name === undefined) return;
    const { tenant, options, settings } = this.store;
    const gone = {
      name: "delete-checkpoint",
      sql: sql`
        delete from ${this.#table}
        where tenant_id = ${tenant}::text and collection = ${options.collection}::text and name = ${this.name}::text`,
    };
    await this.store.database.execute(gone, { settings });
  }
}

/** An id that was made here is another one in the next call. The content is as the source gave it, never encrypted. */
function fingerprint({ id, ownId, sourceHash }: Fingerprinted): Buffer {
  return createHash("sha256")
    .update(ownId ? id : "")
    .update("\0")
    .update(sourceHash)
    .digest();
}
