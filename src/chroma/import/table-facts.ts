import sql from "sql-template-tag";
import type { Database } from "../../db/database.js";
import { quoteQualified } from "../../db/identifiers.js";
import { ConfigurationError } from "../../errors.js";
import type { Metric } from "../../schema/layout.js";

/** A column of a table that is read. */
export interface SourceColumn {
  readonly name: string;
  /** As Postgres prints it, quoted where it has to be. */
  readonly type: string;
  /** Whether an index lets no value occur twice. */
  readonly unique: boolean;
  /** The table that it refers to by its value, when there is one. */
  readonly refersTo: { readonly schema: string; readonly table: string } | undefined;
}

/** What reading a table that is not ours has to know about it. */
export interface TableFacts {
  readonly oid: string;
  readonly database: string;
  readonly schema: string;
  readonly columns: ReadonlyMap<string, SourceColumn>;
  /** Schema of pgvector. */
  readonly vectorSchema: string;
  /** That of the first vector index. */
  readonly indexMetric: Metric | undefined;
}

const OPCLASS_METRICS: Readonly<Record<string, Metric>> = {
  cosine: "cosine",
  l2: "euclidean",
  ip: "innerProduct",
};

interface FactsRow {
  oid: string;
  database: string;
  schema: string;
  vector_schema: string | null;
  opclass: string | null;
  columns: {
    name: string;
    type: string;
    unique: boolean;
    other_schema: string | null;
    other_table: string | null;
  }[];
}

/** @throws ConfigurationError when there is no such table, or no pgvector to read its vectors with. */
export async function readTableFacts(
  database: Database,
  schema: string | undefined,
  table: string,
): Promise<TableFacts> {
  const name = quoteQualified(schema, table);
  const { rows } = await database.execute({
    name: "import-table-facts",
    sql: sql`
      select c.oid::text as oid, current_database()::text as database, n.nspname::text as schema,
        (select en.nspname::text from pg_extension e join pg_namespace en on en.oid = e.extnamespace
          where e.extname = 'vector') as vector_schema,
        (select o.opcname::text from pg_index i
          join pg_class ic on ic.oid = i.indexrelid
          join pg_am m on m.oid = ic.relam
          join pg_opclass o on o.oid = i.indclass[0]
          where i.indrelid = c.oid and m.amname in ('hnsw', 'ivfflat') order by ic.relname limit 1) as opclass,
        (select json_agg(json_build_object(
            'name', a.attname, 'type', format_type(a.atttypid, null),
            'unique', exists (select from pg_index i
              where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null
                and i.indnkeyatts = 1 and i.indkey[0] = a.attnum),
            'other_schema', rn.nspname, 'other_table', r.relname) order by a.attnum)
          from pg_attribute a
          left join pg_constraint f on f.conrelid = c.oid and f.contype = 'f' and f.conkey = array[a.attnum]
          left join pg_class r on r.oid = f.confrelid
          left join pg_namespace rn on rn.oid = r.relnamespace
          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.oid = to_regclass(${name}::text)`,
  });
  const row = rows[0] as unknown as FactsRow | undefined;
  if (row === undefined) throw new ConfigurationError(`There is no table ${name} to import from.`);
  if (row.vector_schema === null) {
    throw new ConfigurationError(
      `The database of the table ${name} has no pgvector to read its vectors with. Run there: create extension vector;`,
    );
  }
  const metric = /_(cosine|l2|ip)_ops$/.exec(row.opclass ?? "")?.[1];
  return {
    oid: row.oid,
    database: row.database,
    schema: row.schema,
    vectorSchema: row.vector_schema,
    indexMetric: metric === undefined ? undefined : OPCLASS_METRICS[metric],
    columns: new Map(
      row.columns.map(({ name: column, type, unique, other_schema, other_table }) => {
        const refersTo = other_table === null ? undefined : { schema: other_schema!, table: other_table };
        return [column, { name: column, type, unique, refersTo }];
      }),
    ),
  };
}
