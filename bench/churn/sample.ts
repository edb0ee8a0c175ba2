import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type pg from "pg";
import { quoteLiteral } from "../../src/db/identifiers.js";
import { lexicalTables } from "../../src/schema/lexical.js";

/** What is to level off, by name; sizes in bytes. */
export type Sample = Readonly<Record<string, number>>;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/**
 * Connections to the database other than those that measure, and what this process, all processes of the server, and on
 * average those whose connections are named `resident` have for themselves. Costs one short query.
 */
export async function sampleConnections(pool: pg.Pool, resident: string): Promise<Sample> {
  const { rows } = await pool.query<{ pid: number; name: string; counts: boolean }>(
    `select pid, application_name as name,
       backend_type = 'client backend' and datname = current_database() and application_name <> 'churn-bench' as counts
     from pg_stat_activity`,
  );
  const memory = rows.map(({ pid, name }) => ({ name, bytes: privateMemory(pid) }));
  const stayed = memory.filter(({ name }) => name === resident);
  return {
    connections: rows.filter(({ counts }) => counts).length,
    "process RSS": process.memoryUsage.rss(),
    "server processes": bytesOf(memory),
    "a connection of clients that stay": bytesOf(stayed) / Math.max(1, stayed.length),
  };
}

/** Sizes of files, and the memory of this process that is in use. */
export async function sampleSizes(pool: pg.Pool, table: string): Promise<Sample> {
  collectGarbage();
  const lexical = lexicalTables(table)
    .map((name) => quoteLiteral(name))
    .join(", ");
  const { rows } = await pool.query<Record<string, number>>(`
    select pg_relation_size(c.oid)::float8 as heap,
      pg_total_relation_size(c.reltoastrelid)::float8 as toast,
      (select sum(pg_relation_size(i.indexrelid)) from pg_index i join pg_class x on x.oid = i.indexrelid
        join pg_am a on a.oid = x.relam where i.indrelid = c.oid and a.amname = 'hnsw')::float8 as hnsw,
      (select sum(pg_relation_size(i.indexrelid)) from pg_index i join pg_class x on x.oid = i.indexrelid
        join pg_am a on a.oid = x.relam where i.indrelid = c.oid and a.amname <> 'hnsw')::float8 as btree,
      (select sum(pg_total_relation_size(l.oid)) from pg_class l
        where l.relnamespace = c.relnamespace and l.relname in (${lexical}))::float8 as lexical,
      (select sum(pg_total_relation_size(k.oid)) from pg_class k
        where k.relnamespace = 'pg_catalog'::regnamespace and k.relkind = 'r')::float8 as catalog,
      pg_stat_get_live_tuples(c.oid)::float8 as "(live rows)", pg_stat_get_dead_tuples(c.oid)::float8 as "(dead rows)"
    from pg_class c where c.oid = '${table}'::regclass`);
  return { ...rows[0]!, "process heap": process.memoryUsage().heapUsed };
}

const bytesOf = (memory: readonly { bytes: number }[]): number => memory.reduce((total, { bytes }) => total + bytes, 0);

/** What a process of this machine has for itself; 0 where the system does not say. */
function privateMemory(pid: number): number {
  try {
    return 1_024 * Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** Means of each quarter, by name. */
export function quarters(samples: readonly Sample[]): Map<string, number[]> {
  const names = Object.keys(samples[0] ?? {});
  const length = samples.length / 4;
  return new Map(
    names.map((name) => [
      name,
      [0, 1, 2, 3].map((quarter) => {
        const part = samples.slice(Math.floor(quarter * length), Math.floor((quarter + 1) * length));
        return part.reduce((sum, sample) => sum + sample[name]!, 0) / part.length;
      }),
    ]),
  );
}
