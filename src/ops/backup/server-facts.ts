import { raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { SchemaVersionError } from "../../errors.js";

/** @throws SchemaVersionError when the database has no pgvector, and so no store. */
export async function readServer(
  session: Session,
): Promise<{ version: number; vector: { version: string; schema: string } }> {
  const { rows } = await session.execute({
    name: "backup-server",
    sql: raw(
      "select current_setting('server_version_num')::int4 as version, e.extversion as vector, n.nspname::text as schema " +
        "from (select 1) as one left join pg_extension e on e.extname = 'vector' left join pg_namespace n on n.oid = e.extnamespace",
    ),
  });
  const row = rows[0] as { version: number; vector: string | null; schema: string | null };
  if (row.vector === null) throw new SchemaVersionError("This database has no pgvector, so there is no store in it.");
  return { version: row.version, vector: { version: row.vector, schema: row.schema! } };
}
