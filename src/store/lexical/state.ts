import sql from "sql-template-tag";
import type { ScopedStore } from "../open.js";
import type { OpenLexical } from "./open.js";

/** What a tenant's collection has in its lexical index. */
export interface LexicalIndexState {
  readonly language: string;
  readonly k1: number;
  readonly b: number;
  readonly segments: number;
  /** Indexed, those that are gone since included. */
  readonly chunks: number;
  /** Indexed and gone or changed since; they count in document frequencies until the next compaction. */
  readonly dead: number;
}

export async function lexicalState(store: ScopedStore, lexical: OpenLexical): Promise<LexicalIndexState> {
  const { rows } = await store.database.execute(
    {
      name: "lexical-state",
      sql: sql`
        select count(*)::float8 as segments, coalesce(sum(chunks), 0)::float8 as chunks, coalesce(sum(dead), 0)::float8 as dead
        from ${lexical.segments}
        where tenant_id = ${store.tenant}::text and collection = ${store.options.collection}::text`,
    },
    { settings: store.settings },
  );
  const { language, k1, b } = lexical.settings;
  return { language, k1, b, ...(rows[0] as { segments: number; chunks: number; dead: number }) };
}
