import sql from "sql-template-tag";
import type { Session } from "../../db/database.js";

/** Settings and state of the server as this connection sees them. */
export interface ServerFacts {
  readonly database: string;
  readonly role: string;
  /** Whether the role sees what other roles do. */
  readonly monitors: boolean;
  readonly standby: boolean;
  /** By name; sizes and times as the server counts them. */
  readonly settings: ReadonlyMap<
    string,
    { readonly value: string; readonly unit: string | null; readonly source: string }
  >;
  /** The pgvector that `alter extension vector update` would bring. */
  readonly availableVector: string | null;
  /** Whether the JIT compiler is installed. */
  readonly jit: boolean;
  /** Versions of the rules by which the database sorts text: when it was made, and those that the system has now. */
  readonly collation: { readonly recorded: string | null; readonly actual: string | null };
}

export async function readServer(session: Session): Promise<ServerFacts> {
  const { rows } = await session.execute({
    name: "doctor-server",
    sql: sql`
      select current_database()::text as database, current_user::text as role, pg_is_in_recovery() as standby,
        pg_has_role(current_user, 'pg_read_all_stats', 'usage') as monitors, pg_jit_available() as jit,
        (select jsonb_build_object('recorded', datcollversion, 'actual', pg_database_collation_actual_version(oid))
          from pg_database where datname = current_database()) as collation,
        (select default_version from pg_available_extensions where name = 'vector') as "availableVector",
        (select jsonb_object_agg(name, jsonb_build_object('value', setting, 'unit', unit, 'source', source)) from pg_settings) as settings`,
  });
  const row = rows[0] as unknown as Omit<ServerFacts, "settings"> & {
    settings: Record<string, { value: string; unit: string | null; source: string }>;
  };
  return { ...row, settings: new Map(Object.entries(row.settings)) };
}

const UNITS: Readonly<Record<string, number>> = { B: 1, kB: 1_024, "8kB": 8_192, MB: 1_048_576, "16MB": 16_777_216 };

/** A size in bytes. */
export function bytesOf({ settings }: ServerFacts, name: string): number {
  const { value, unit } = settings.get(name)!;
  return Number(value) * (UNITS[unit ?? "B"] ?? 1);
}

/** A plain number; `NaN` for a setting that this server does not have. */
export function numberOf({ settings }: ServerFacts, name: string): number {
  return Number(settings.get(name)?.value ?? Number.NaN);
}

export function isOn({ settings }: ServerFacts, name: string): boolean {
  return settings.get(name)?.value === "on";
}
