import { quoteIdentifier } from "../../db/identifiers.js";
import { bytesText, finding, percent, type DoctorFinding } from "../../store/finding.js";
import { isOn, numberOf } from "./read-server.js";
import type { Snapshot } from "./snapshot.js";

const OLDEST_SERVER = 150_000;
/** The first pgvector without the known faults of HNSW under vacuum and repair. */
const GOOD_VECTOR = "0.8.4";
/**
 * The first minor release of each version in which neither a policy is forgotten below a sub-select (CVE-2024-10976) nor
 * statistics show rows that a policy hides (CVE-2025-8713).
 *
 * @see https://www.postgresql.org/support/security/
 */
const GOOD_MINORS: Readonly<Record<number, number>> = { 15: 14, 16: 10, 17: 6 };

/** Versions, durability, connections and replication. No I/O. */
export function checkServer(snapshot: Snapshot): DoctorFinding[] {
  return [
    ...versionFindings(snapshot.state.server.version),
    ...vectorFindings(snapshot.state.server.vector?.version, snapshot.server.availableVector),
    ...collation(snapshot),
    ...durability(snapshot),
    ...connections(snapshot),
    ...replication(snapshot),
  ];
}

/** @param version `server_version_num`. */
export function versionFindings(version: number): DoctorFinding[] {
  const [major, minor] = [Math.floor(version / 10_000), version % 10_000];
  const text = `PostgreSQL ${major}.${minor}`;
  if (version < OLDEST_SERVER) {
    const evidence = `${text} is older than what this library is tested with.`;
    return [finding("server-old", "warning", text, evidence, "-- upgrade to PostgreSQL 15 or later")];
  }
  const good = GOOD_MINORS[major];
  if (good === undefined || minor >= good) return [];
  return [
    finding(
      "server-known-defects",
      "warning",
      text,
      `${text} has known defects of row-level security, mended in ${major}.${good}: policies that are forgotten below ` +
        "sub-selects (CVE-2024-10976), or statistics that show rows which a policy hides (CVE-2025-8713).",
      `-- install ${major}.${good} or later and restart the server`,
    ),
  ];
}

/** @param available what the installed package would bring. */
export function vectorFindings(version: string | undefined, available: string | null): DoctorFinding[] {
  if (version === undefined) {
    const evidence = "pgvector is not installed in this database.";
    return [finding("pgvector-missing", "error", "vector", evidence, "create extension vector;")];
  }
  const update = "alter extension vector update;";
  if (isOlder(version, GOOD_VECTOR)) {
    const packaged = available !== null && !isOlder(available, GOOD_VECTOR);
    return [
      finding(
        "pgvector-old",
        "warning",
        `vector ${version}`,
        `pgvector ${version} is older than ${GOOD_VECTOR}, which mends HNSW indexes under vacuum and repair` +
          (isOlder(version, "0.8.0")
            ? ", and than 0.8.0, from which a filtered scan goes on until it has enough rows."
            : "."),
        packaged ? update : `-- install the package of pgvector ${GOOD_VECTOR} or later, then:\n${update}`,
      ),
    ];
  }
  if (available === null || !isOlder(version, available)) return [];
  return [
    finding(
      "pgvector-update-pending",
      "note",
      `vector ${version}`,
      `The server has pgvector ${available}, and this database still the SQL objects of ${version}.`,
      update,
    ),
  ];
}

function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split(".").map(Number));
  for (let part = 0; part < 3; part += 1) {
    const difference = (a![part] ?? 0) - (b![part] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** Text is sorted by the operating system or by ICU, whose rules change with their versions. */
function collation({ server, indexes }: Snapshot): DoctorFinding[] {
  const { recorded, actual } = server.collation;
  if (recorded === null || recorded === actual) return [];
  const keys = indexes.filter(({ method, parent }) => method === "btree" && !parent).map(({ name }) => name);
  return [
    finding(
      "collation-changed",
      "error",
      server.database,
      `The database was made with version ${recorded} of the rules that sort text, and the system now has ${actual ?? "another"}: ` +
        "indexes of text, every primary key of a store among them, may be in the wrong order, find no row that is there and let keys in twice.",
      [
        ...keys.map((name) => `reindex index concurrently ${name};`),
        `alter database ${quoteIdentifier(server.database)} refresh collation version;`,
      ].join("\n"),
    ),
  ];
}

function durability({ server }: Snapshot): DoctorFinding[] {
  return (["fsync", "full_page_writes"] as const)
    .filter((name) => !isOn(server, name))
    .map((name) =>
      finding(
        "durability-off",
        "error",
        name,
        `${name} is off: after a crash of the machine the whole cluster may be damaged beyond repair, not only the last writes.`,
        `alter system set ${name} = on;\nselect pg_reload_conf();`,
      ),
    );
}

function connections({ server, activity, limits }: Snapshot): DoctorFinding[] {
  const most = numberOf(server, "max_connections") - numberOf(server, "superuser_reserved_connections");
  if (activity.connections < limits.connectionShare * most) return [];
  return [
    finding(
      "connections-near-limit",
      "warning",
      "max_connections",
      `${activity.connections} of ${most} connections are in use (${percent(activity.connections / most)}). The next ones are refused; ` +
        "each costs some 10 MB of memory besides.",
      "-- a pool in front, such as PgBouncer in transaction mode, or fewer connections in each process;\n" +
        `-- or, with a restart: alter system set max_connections = ${2 * numberOf(server, "max_connections")};`,
    ),
  ];
}

function replication({ activity, limits }: Snapshot): DoctorFinding[] {
  const late = activity.standbys.filter(({ bytes }) => bytes !== null && bytes > limits.lagBytes);
  const behind = activity.slots.filter(({ bytes, active }) => !active && bytes > limits.lagBytes);
  return [
    ...late.map(({ name, bytes }) =>
      finding(
        "replication-lag",
        "warning",
        name,
        `The standby ${name} is ${bytesText(bytes!)} of log behind, so what it is asked is answered from older rows.`,
        "-- on the standby: select pg_wal_replay_resume(), and look for long queries and a full disk there",
      ),
    ),
    ...behind.map(({ name, bytes }) =>
      finding(
        "replication-slot-behind",
        "error",
        name,
        `Nobody reads from the replication slot ${name}, and the server keeps ${bytesText(bytes)} of log for it until the disk is full.`,
        `select pg_drop_replication_slot('${name.replaceAll("'", "''")}');`,
      ),
    ),
  ];
}
