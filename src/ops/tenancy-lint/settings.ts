import sql from "sql-template-tag";
import type { Database, Session } from "../../db/database.js";
import { TENANT_SETTING } from "../../db/tenant-scope.js";
import type { Finding } from "./finding.js";

/** Connections that are looked at, as far as the pool has them. */
const SAMPLES = 4;

/** A tenant that a role or a database brings along: then a call that names none works for that one. */
export async function checkStoredSettings(session: Session): Promise<Finding[]> {
  const { rows } = await session.execute({
    name: "lint-settings",
    sql: sql`
      select quote_ident(r.rolname) as role, quote_ident(d.datname) as database
      from pg_db_role_setting s
      left join pg_roles r on r.oid = s.setrole
      left join pg_database d on d.oid = s.setdatabase
      where (d.datname is null or d.datname = current_database())
        and exists (
          select from unnest(s.setconfig) as c (setting) where starts_with(lower(c.setting), ${`${TENANT_SETTING}=`}::text)
        )
      order by 1, 2`,
  });
  return (rows as { role: string | null; database: string | null }[]).map(({ role, database }) => {
    const object =
      role === null
        ? `database ${database}`
        : database === null
          ? `role ${role}`
          : `role ${role} in database ${database}`;
    return {
      code: "tenant-setting-stored",
      severity: "error",
      object,
      message: `The ${object} sets ${TENANT_SETTING} for every session, so a statement that names no tenant reads that one.`,
      cure: `alter ${object} reset ${TENANT_SETTING};`,
    };
  });
}

/** A tenant that is set outside any transaction: by a session-level SET that a pool, or a pooler, hands on. */
export async function checkSessions(database: Database): Promise<Finding[]> {
  const look = (): Promise<string | null> =>
    database.connection(async (session) => {
      const statement = { name: "lint-session", sql: sql`select current_setting(${TENANT_SETTING}, true) as tenant` };
      return (await session.execute(statement)).rows[0]!["tenant"] as string | null;
    });
  const tenants = await Promise.all(Array.from({ length: SAMPLES }, look));
  if (!tenants.some((tenant) => tenant !== null && tenant !== "")) return [];
  return [
    {
      code: "tenant-setting-in-session",
      severity: "error",
      object: TENANT_SETTING,
      message:
        `${TENANT_SETTING} is set on a connection outside any transaction, so whoever gets the connection next works for ` +
        "that tenant. Set it with `set local` only, and look at the pooler's connect and reset queries.",
      cure: `reset ${TENANT_SETTING};`,
    },
  ];
}
