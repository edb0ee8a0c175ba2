import { Document } from "@langchain/core/documents";
import sql, { empty, raw, type Sql } from "sql-template-tag";
import { TextArrayParameter } from "../db/codec.js";
import { ConfigurationError } from "../errors.js";
import { decryptHits } from "./content-cipher.js";
import { combineFilters, compileFilter, parseFilter, type Filter } from "./filter/index.js";
import { scope, type ScopedStore } from "./open.js";
import { integer } from "./options.js";

/** Which chunks of a source count as neighbours. */
export interface NeighbourOptions {
  /** Chunks in front of each document, up to 1,000. @defaultValue 1 */
  before?: number | undefined;
  /** Chunks behind each document, up to 1,000. @defaultValue 1 */
  after?: number | undefined;
  /** Metadata key, dotted for a nested one, that chunks of one source share. @defaultValue `"source"` */
  sourceKey?: string | undefined;
  /**
   * Metadata key of a number that grows from chunk to chunk.
   * @defaultValue `"offset.start"`, else `"loc.lines.from"`, both within a page (`loc.pageNumber`)
   */
  positionKey?: string | undefined;
  /** Whether neighbours have to stand under the same `headings`. @defaultValue false */
  sameSection?: boolean | undefined;
  /** Combined with the store's own filter. */
  filter?: Filter | undefined;
  signal?: AbortSignal | undefined;
}

/** A chunk with its place among the chunks of its source. */
export interface PlacedChunk {
  readonly document: Document;
  /** The same for chunks whose places can be compared: those of one source, or of one page of it. */
  readonly sequence: string;
  /** Neighbours differ by one. */
  readonly place: number;
}

/**
 * Checks the options before any I/O; what it returns reads the documents' own chunks with those around them, each once, in
 * their order. Documents without a source or a place there are left out. One statement. It reads all chunks of these
 * sources, by an index where the source is a promoted key.
 *
 * @throws ConfigurationError for options that cannot be.
 */
export function planNeighbours(
  documents: readonly Document[],
  options: NeighbourOptions,
): (store: ScopedStore) => Promise<PlacedChunk[]> {
  const before = integer("before", options.before, 0, 1_000) ?? 1;
  const after = integer("after", options.after, 0, 1_000) ?? 1;
  const sourceKey = checkKey("sourceKey", options.sourceKey) ?? "source";
  const positionKey = checkKey("positionKey", options.positionKey);
  const filter = options.filter === undefined ? undefined : parseFilter(options.filter);
  const found = documents.filter(({ id }) => id !== undefined);
  const ids = [...new Set(found.map(({ id }) => id!))];
  const sources = [
    ...new Set(found.map(({ metadata }) => at(metadata, sourceKey)).filter((s) => typeof s === "string")),
  ];
  return async (store) => {
    if (sources.length === 0) return [];
    const { id, content, metadata } = store.columns;
    const ofSources = parseFilter({ [sourceKey]: { $in: sources } });
    const where = combineFilters(store.options.filter, filter, ofSources)!;
    const { rows } = await store.database.execute(
      {
        name: "neighbours",
        sql: sql`
          with placed as materialized (
            select id, source, page, section, row_number() over (partition by source, page order by position, id) as place
            from (
              select ${id} as id, ${metadata} #>> ${path(sourceKey)} as source,
                ${positionKey === undefined ? sql`${metadata} #>> '{loc,pageNumber}'` : sql`null::text`} as page,
                ${options.sameSection === true ? sql`${metadata} -> 'headings'` : sql`null::jsonb`} as section,
                ${positionOf(metadata, positionKey)} as position
              from ${store.table} where ${scope(store)} and ${compileFilter(where, store.columns)}
            ) as r
            where position is not null
          ), wanted as (
            select distinct p.id, p.source, p.page, p.place
            from placed a join placed p using (source)
            where a.id = any(${new TextArrayParameter(ids)}::text[]) and p.page is not distinct from a.page
              and p.place between a.place - ${before}::int8 and a.place + ${after}::int8
              ${options.sameSection === true ? sql`and p.section is not distinct from a.section` : empty}
          )
          select c.*, w.source, w.page, w.place::int4 as place
          from wanted w cross join lateral (
            select ${id} as id, ${content} as content, ${metadata} as metadata
            from ${store.table} where ${scope(store)} and ${id} = w.id limit 1
          ) as c
          order by w.source, w.page, w.place`,
      },
      { settings: store.settings, signal: options.signal, replica: store.options.replica },
    );
    const chunks = (rows as unknown as NeighbourRow[]).map((row) => ({
      document: new Document({ id: row.id, pageContent: row.content, metadata: row.metadata }),
      sequence: JSON.stringify([row.source, row.page]),
      place: row.place,
    }));
    return [...(await decryptHits(store.options.contentCipher, store.tenant, chunks))];
  };
}

interface NeighbourRow {
  readonly id: string;
  readonly content: string;
  readonly metadata: Record<string, unknown>;
  readonly source: string;
  readonly page: string | null;
  readonly place: number;
}

/** What metadata has under a dotted key. */
function at(metadata: Record<string, unknown>, key: string): unknown {
  return key
    .split(".")
    .reduce<unknown>((value, part) => (value as Record<string, unknown> | null | undefined)?.[part], metadata);
}

function path(key: string): Sql {
  return sql`${new TextArrayParameter(key.split("."))}::text[]`;
}

function positionOf(metadata: Sql, key: string | undefined): Sql {
  const number = (keys: Sql): Sql =>
    sql`case when jsonb_typeof(${metadata} #> ${keys}) = 'number' then (${metadata} #>> ${keys})::numeric end`;
  if (key !== undefined) return number(path(key));
  return sql`coalesce(${number(raw("'{offset,start}'"))}, ${number(raw("'{loc,lines,from}'"))})`;
}

function checkKey(name: string, key: string | undefined): string | undefined {
  if (key === undefined || (typeof key === "string" && key !== "" && !key.includes("\0") && key.isWellFormed()))
    return key;
  throw new ConfigurationError(`${name} must be the name of a metadata key, got ${JSON.stringify(key)}.`);
}
