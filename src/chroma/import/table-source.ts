import sql, { empty, join, raw, type Sql } from "sql-template-tag";
import { decodeVector } from "../../db/codec.js";
import type { Database } from "../../db/database.js";
import { identifier, qualified, quoteIdentifier, quoteQualified } from "../../db/identifiers.js";
import { ConfigurationError, IngestError } from "../../errors.js";
import { mapRecord, type RecordMapping } from "./record-mapping.js";
import type { KnownIds, RecordSource, SourceCollection, SourceRecord } from "./source.js";
import { readTableFacts, type SourceColumn, type TableFacts } from "./table-facts.js";

export interface SourceTableName {
  readonly schema: string | undefined;
  readonly table: string;
}

/** What LangChain's PGVectorStore names its columns. */
const BASE_CLASS: RecordMapping = { id: "id", vector: "embedding", document: "text", metadata: "metadata" };
/** Its reference to the table of collections, which has `uuid`, `name` and `cmetadata`. */
const COLLECTION_ID = "collection_id";

/**
 * A table with a vector column, by default one of LangChain's PGVectorStore with its collections. Read in pages by its
 * id, which must be unique; nothing is locked.
 */
export function tableSource(
  database: Database,
  { schema, table }: SourceTableName,
  given: RecordMapping | undefined,
  signal: AbortSignal | undefined,
): RecordSource {
  return {
    label: `table ${quoteQualified(schema, table)}`,
    collections: async (names) => {
      const facts = await readTableFacts(database, schema, table);
      const mapping = given ?? {
        ...BASE_CLASS,
        ...(facts.columns.has(COLLECTION_ID) && { collection: COLLECTION_ID }),
      };
      const reader = new TableReader(database, facts, table, mapping, signal);
      const found = await reader.survey();
      const missing = names?.find((name) => !found.some((collection) => collection.name === name));
      if (missing !== undefined)
        throw new ConfigurationError(`The table ${table} has no collection ${JSON.stringify(missing)}.`);
      return names === undefined ? found : names.map((name) => found.find((collection) => collection.name === name)!);
    },
  };
}

class TableReader {
  readonly #id: SourceColumn;
  readonly #vector: Sql;
  /** The table as `t`, and that of its collections as `l`. */
  readonly #from: Sql;
  readonly #collection: Sql;
  readonly #collectionMetadata: Sql;

  /** @throws ConfigurationError when the mapping does not fit the table. */
  constructor(
    private readonly database: Database,
    private readonly facts: TableFacts,
    private readonly table: string,
    private readonly mapping: RecordMapping,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.#id = this.#column("id");
    if (!this.#id.unique) {
      throw new ConfigurationError(
        `The column ${JSON.stringify(this.#id.name)} of ${JSON.stringify(table)} has no unique index, so that its rows ` +
          "cannot be told apart. Create one, or map the id to a column that has one.",
      );
    }
    const { vectorSchema } = facts;
    const vector = raw(quoteQualified(vectorSchema, "vector"));
    this.#vector = sql`${column(this.#column("vector").name)}::${vector}`;
    const from = sql`${qualified(facts.schema, table)} t`;
    const collections = mapping.collection === COLLECTION_ID ? facts.columns.get(COLLECTION_ID)?.refersTo : undefined;
    this.#from =
      collections === undefined
        ? from
        : sql`${from} left join ${qualified(collections.schema, collections.table)} l on l.uuid = t.collection_id`;
    const named = collections === undefined ? this.#text("collection") : sql`l.name::text`;
    this.#collection = sql`coalesce(nullif(${named}, ''), ${mapping.name ?? "default"}::text)`;
    this.#collectionMetadata = collections === undefined ? sql`null::jsonb` : sql`l.cmetadata::jsonb`;
  }

  async survey(): Promise<SourceCollection[]> {
    const { rows } = await this.database.execute(
      {
        name: "import-table-survey",
        sql: sql`
          select ${this.#collection} as name, count(*)::float8 as rows,
            count(*) filter (where ${column(this.#id.name)} is null)::float8 as without_id,
            (array_agg(${this.#collectionMetadata}))[1] as metadata
          from ${this.#from} group by 1 order by 1`,
      },
      { signal: this.signal },
    );
    const found: SourceCollection[] = [];
    for (const row of rows as { name: string; rows: number; without_id: number; metadata: unknown }[]) {
      if (row.without_id > 0)
        throw new IngestError(`${row.without_id} rows of the table ${this.table} have no ${this.#id.name}.`);
      found.push(await this.#describe(row.name, row.rows, row.metadata));
    }
    return found;
  }

  async #describe(name: string, count: number, metadata: unknown): Promise<SourceCollection> {
    const { oid, database, indexMetric } = this.facts;
    return {
      name,
      dimensions: await this.#dimensions(name),
      metric: this.mapping.metric ?? indexMetric ?? "cosine",
      provider: undefined,
      model: undefined,
      metadata: (metadata ?? {}) as Record<string, unknown>,
      fingerprint: JSON.stringify([database, oid, this.mapping]),
      count: () => Promise.resolve(count),
      pages: (rows, known) => this.#pages(name, rows, known),
    };
  }

  async #dimensions(collection: string): Promise<number | undefined> {
    const dims = raw(`${quoteIdentifier(this.facts.vectorSchema)}.vector_dims`);
    const { rows } = await this.database.execute(
      {
        name: "import-table-dimensions",
        sql: sql`
          select ${dims}(${this.#vector})::int4 as dimensions from ${this.#from}
          where ${this.#collection} = ${collection}::text and ${column(this.#column("vector").name)} is not null limit 1`,
      },
      { signal: this.signal },
    );
    return rows[0]?.["dimensions"] as number | undefined;
  }

  async *#pages(collection: string, limit: number, known: KnownIds | undefined): AsyncGenerator<SourceRecord[], void> {
    const id = column(this.#id.name);
    const send = raw(`${quoteIdentifier(this.facts.vectorSchema)}.vector_send`);
    for (let last: string | undefined; ;) {
      const behind = last === undefined ? empty : sql`and ${id} > ${last}::text::${raw(this.#id.type)}`;
      const { rows } = await this.database.execute(
        {
          name: "import-table-page",
          sql: sql`
            select ${id}::text as id, encode(${send}(${this.#vector}), 'base64') as vector,
              ${this.#text("document")} as document, ${this.#json("metadata")} as metadata, ${this.#text("uri")} as uri
            from ${this.#from} where ${this.#collection} = ${collection}::text ${behind}
            order by ${id} limit ${limit}::int8`,
        },
        { signal: this.signal },
      );
      if (rows.length === 0) return;
      last = rows.at(-1)!["id"] as string;
      const stored = known === undefined ? undefined : await known(rows.map((row) => row["id"] as string));
      const page = rows.filter((row) => !stored?.has(row["id"] as string)).map((row) => this.#record(row));
      if (page.length > 0) yield page;
      if (rows.length < limit) return;
    }
  }

  /** @throws IngestError naming the row when its metadata is no object. */
  #record(row: Record<string, unknown>): SourceRecord {
    const { id, vector, document, metadata, uri } = this.mapping;
    // Under the names of the mapping, so that an error says those.
    const parts = {
      [id]: row["id"],
      [vector]: row["vector"] === null ? null : decodeVector(row["vector"] as string),
      ...(document !== undefined && { [document]: row["document"] }),
      ...(uri !== undefined && { [uri]: row["uri"] }),
      ...(metadata !== undefined && { [metadata]: row["metadata"] }),
    };
    const { collection: _, ...rest } = this.mapping;
    return mapRecord(parts, rest, `The row ${JSON.stringify(row["id"])} of ${this.table}`).record;
  }

  /** @throws ConfigurationError unless the mapping names a column for it. */
  #column(part: "id" | "vector"): SourceColumn {
    const found = this.facts.columns.get(this.mapping[part]);
    if (found === undefined) throw this.#missing(part, this.mapping[part]);
    return found;
  }

  #text(part: "document" | "uri" | "collection"): Sql {
    const path = this.mapping[part];
    if (path === undefined) return sql`null::text`;
    if (this.facts.columns.has(path)) return sql`${column(path)}::text`;
    return sql`(${this.#within(part, path)})`;
  }

  #json(part: "metadata"): Sql {
    const path = this.mapping[part];
    if (path === undefined) return sql`null::jsonb`;
    if (!this.facts.columns.has(path)) throw this.#missing(part, path);
    return sql`to_jsonb(${column(path)})`;
  }

  /** The text at a dotted path into a column. */
  #within(part: string, path: string): Sql {
    const [name, ...keys] = path.split(".");
    if (!this.facts.columns.has(name!) || keys.length === 0) throw this.#missing(part, path);
    const steps = join(keys.map((key) => sql`${key}::text`));
    return sql`jsonb_extract_path_text(to_jsonb(${column(name!)}), ${steps})`;
  }

  #missing(part: string, path: string): ConfigurationError {
    const has = [...this.facts.columns.values()].map(({ name, type }) => `${name} ${type}`).join(", ");
    return new ConfigurationError(
      `The table ${JSON.stringify(this.table)} has no column ${JSON.stringify(path)} for the ${part} (it has ${has}). ` +
        `Say which in the mapping: { "${part}": "..." }.`,
    );
  }
}

function column(name: string): Sql {
  return sql`t.${identifier(name)}`;
}
