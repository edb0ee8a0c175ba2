import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Session } from "../../db/database.js";
import { quoteQualified } from "../../db/identifiers.js";
import { lexicalTriggerFunctions } from "../../schema/lexical.js";
import { GATE_TRIGGER, MIRROR_TRIGGER } from "../../store/partitions/mirror.js";
import type { Finding } from "./finding.js";
import type { LintTarget } from "./target.js";

/** Triggers, rules and publications that carry rows of tenants to where no policy holds. */
export async function checkCopies(session: Session, target: LintTarget): Promise<Finding[]> {
  return [
    ...(await checkTriggers(session, target)),
    ...(await checkRules(session, target)),
    ...(await checkPublications(session, target)),
    ...checkMoves(target),
  ];
}

async function checkTriggers(session: Session, target: LintTarget): Promise<Finding[]> {
  const ours = new TextArrayParameter(lexicalTriggerFunctions(target.schema, target.layout.table));
  const { rows } = await session.execute({
    name: "lint-triggers",
    sql: sql`
      select quote_ident(t.tgname) as name, format('%I.%I', n.nspname, c.relname) as table, p.oid::regprocedure::text as function
      from pg_trigger t
      join pg_class c on c.oid = t.tgrelid
      join pg_namespace n on n.oid = c.relnamespace
      join pg_proc p on p.oid = t.tgfoid
      where t.tgrelid = any(${target.oids}::text[]::oid[]) and not t.tgisinternal and t.tgenabled <> 'D'
        and t.tgparentid = 0 and t.tgname not in (${MIRROR_TRIGGER}, ${MIRROR_TRIGGER + "_truncate"}, ${GATE_TRIGGER})
        and (p.prosecdef or p.oid <> all(array(select to_regprocedure(f) from unnest(${ours}::text[]) as f where to_regprocedure(f) is not null)))
        and (p.prosecdef or p.prosrc ~* '\\m(insert|update|merge|copy|notify|pg_notify|dblink\\w*|execute|http\\w*)\\M')
      order by 1`,
  });
  return (rows as { name: string; table: string; function: string }[]).map((row) => ({
    code: "trigger-copies-rows",
    severity: "warning",
    object: `${row.name} on ${row.table}`,
    message:
      `The trigger ${row.name} on ${row.table} runs ${row.function}, which writes or sends elsewhere what it gets; ` +
      "a table that it fills needs the tenant and policies of its own.",
    cure: `alter table ${row.table} disable trigger ${row.name};`,
  }));
}

async function checkRules(session: Session, target: LintTarget): Promise<Finding[]> {
  const { rows } = await session.execute({
    name: "lint-rules",
    sql: sql`
      select quote_ident(r.rulename) as name, format('%I.%I', n.nspname, c.relname) as table
      from pg_rewrite r
      join pg_class c on c.oid = r.ev_class
      join pg_namespace n on n.oid = c.relnamespace
      where r.ev_class = any(${target.oids}::text[]::oid[]) and r.ev_enabled <> 'D'
      order by 1`,
  });
  return (rows as { name: string; table: string }[]).map((row) => ({
    code: "rule-copies-rows",
    severity: "warning",
    object: `${row.name} on ${row.table}`,
    message: `The rule ${row.name} on ${row.table} runs further statements, with the rights of the table's owner.`,
    cure: `drop rule ${row.name} on ${row.table};`,
  }));
}

async function checkPublications(session: Session, target: LintTarget): Promise<Finding[]> {
  const { rows } = await session.execute({
    name: "lint-publications",
    sql: sql`
      select quote_ident(p.pubname) as name, p.puballtables as everything,
        array_agg(format('%I.%I', n.nspname, c.relname) order by c.relname) as tables,
        coalesce(array_agg(format('%I.%I', n.nspname, c.relname)) filter (where r.oid is not null), '{}') as listed,
        array(
          select quote_ident(s.nspname) from pg_publication_namespace l join pg_namespace s on s.oid = l.pnnspid
          where l.pnpubid = p.oid and l.pnnspid = any(array_agg(n.oid))
        ) as schemas
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      join pg_publication p on p.puballtables
        or exists (select from pg_publication_rel l where l.prpubid = p.oid and l.prrelid = c.oid)
        or exists (select from pg_publication_namespace l where l.pnpubid = p.oid and l.pnnspid = n.oid)
      left join pg_publication_rel r on r.prpubid = p.oid and r.prrelid = c.oid
      where c.oid = any(${target.oids}::text[]::oid[]) and r.prqual is null
      group by p.oid
      order by 1`,
  });
  type Row = { name: string; everything: boolean; tables: string[]; listed: string[]; schemas: string[] };
  return (rows as Row[]).map(({ name, everything, tables, listed, schemas }) => {
    const removed = [
      ...(listed.length > 0 ? [`table ${listed.join(", ")}`] : []),
      ...(schemas.length > 0 ? [`tables in schema ${schemas.join(", ")}`] : []),
    ];
    return {
      code: "publication-of-all-tenants",
      severity: "warning",
      object: name,
      message:
        `The publication ${name} sends the rows of all tenants in ${tables.join(", ")}: replication passes by row-level ` +
        "security. The subscriber needs policies of its own, or the publication a row filter.",
      cure: everything ? `drop publication ${name};` : `alter publication ${name} drop ${removed.join(", ")};`,
    };
  });
}

/** A copy that every write of the tenant pays for, and that nothing else removes. */
function checkMoves({ schema, moves }: LintTarget): Finding[] {
  return moves.map(({ name, tenant, kind }) => ({
    code: "move-unfinished",
    severity: "warning",
    object: quoteQualified(schema, name),
    message:
      `The tenant ${JSON.stringify(tenant)} is being moved between partitions, or that was interrupted: ` +
      `${quoteQualified(schema, name)} is a copy that follows its rows.`,
    cure:
      `-- to go on: langchain-pgvector tenants ${kind} ${JSON.stringify(tenant)}\n` +
      `-- to take it back: langchain-pgvector tenants ${kind === "isolate" ? "merge" : "isolate"} ${JSON.stringify(tenant)}`,
  }));
}
