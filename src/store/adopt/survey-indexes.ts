import sql from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { quoteQualified } from "../../db/identifiers.js";
import { SchemaDriftError } from "../../errors.js";
import type { Metric } from "../../schema/layout.js";

/** A vector index of the table that is to be adopted. */
export interface VectorIndex {
  readonly name: string;
  readonly metric: Metric;
  readonly m: number | undefined;
  readonly efConstruction: number | undefined;
}

const OPCLASS_METRICS: Readonly<Record<string, Metric>> = {
  vector_cosine_ops: "cosine",
  vector_l2_ops: "euclidean",
  vector_ip_ops: "innerProduct",
};

interface IndexRow {
  name: string;
  is_primary: boolean;
  method: string;
  opclass: string;
  m: number | null;
  ef: number | null;
}

/**
 * The vector indexes of a table and the name of its primary key.
 *
 * @throws SchemaDriftError for an index on another type (halfvec, bit), which could not be built again as it was.
 */
export async function surveyIndexes(
  session: Session,
  table: string,
  schema: string,
): Promise<{ indexes: VectorIndex[]; primaryKey: string | undefined }> {
  const { rows } = await session.execute({
    name: "adopt-indexes",
    sql: sql`
      select c.relname::text as name, i.indisprimary as is_primary, a.amname::text as method, o.opcname::text as opclass,
        (select option_value from pg_options_to_table(c.reloptions) where option_name = 'm')::int4 as m,
        (select option_value from pg_options_to_table(c.reloptions) where option_name = 'ef_construction')::int4 as ef
      from pg_index i
      join pg_class c on c.oid = i.indexrelid
      join pg_am a on a.oid = c.relam
      left join pg_opclass o on o.oid = i.indclass[0]
      where i.indrelid = ${quoteQualified(schema, table)}::regclass
      order by a.amname, c.relname`,
  });
  const found = rows as unknown as IndexRow[];
  const indexes = found
    .filter((row) => row.method === "hnsw" || row.method === "ivfflat")
    .map(({ name, opclass, m, ef }) => {
      const metric = OPCLASS_METRICS[opclass];
      if (metric === undefined) {
        throw new SchemaDriftError(
          `The index ${JSON.stringify(name)} uses ${opclass}, and adopting cannot build it again. ` +
            "Drop it first; searches are exact until you create another.",
        );
      }
      return { name, metric, m: m ?? undefined, efConstruction: ef ?? undefined };
    });
  return { indexes, primaryKey: found.find((row) => row.is_primary)?.name };
}
