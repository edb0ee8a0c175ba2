import sql from "sql-template-tag";
import { raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { quoteIdentifier } from "../../db/identifiers.js";

/** What statements of one name have cost, in this database, since `pg_stat_statements` was reset. */
export interface StatementStats {
  /** As in the comment that each statement of this library carries. */
  readonly name: string;
  readonly calls: number;
  readonly rows: number;
  readonly totalMs: number;
  readonly meanMs: number;
  readonly maxMs: number;
  readonly blocksHit: number;
  readonly blocksRead: number;
}

/** @returns `undefined` when the extension is not there, not loaded, or not to be read by this role. */
export async function readStatements(session: Session): Promise<readonly StatementStats[] | undefined> {
  const { rows: found } = await session.execute({
    name: "find-statement-statistics",
    sql: sql`
      select n.nspname::text as schema from pg_extension e join pg_namespace n on n.oid = e.extnamespace
      where e.extname = 'pg_stat_statements' and current_setting('pg_stat_statements.max', true) is not null
        and has_schema_privilege(n.oid, 'usage')`,
  });
  const schema = (found[0] as { schema: string } | undefined)?.schema;
  if (schema === undefined) return undefined;
  const { rows } = await session.execute({
    name: "statement-statistics",
    sql: sql`
      select substring(query from '/\\* langchain-pgvector:([a-z0-9-]+) \\*/') as name,
        sum(calls)::float8 as calls, sum(rows)::float8 as rows, sum(total_exec_time)::float8 as "totalMs",
        (sum(total_exec_time) / greatest(sum(calls), 1))::float8 as "meanMs", max(max_exec_time)::float8 as "maxMs",
        sum(shared_blks_hit)::float8 as "blocksHit", sum(shared_blks_read)::float8 as "blocksRead"
      from ${raw(quoteIdentifier(schema))}.pg_stat_statements
      where dbid = (select oid from pg_database where datname = current_database())
        and query like '%/* langchain-pgvector:%'
      group by 1 order by 4 desc`,
  });
  return (rows as unknown as StatementStats[]).filter(({ name }) => name !== null);
}
