import { countText, finding, percent, type DoctorFinding } from "../../store/finding.js";
import { numberOf } from "./read-server.js";
import type { OpenTransaction } from "./read-activity.js";
import type { Snapshot } from "./snapshot.js";

/** What goes on in the server: transactions that hold vacuum back, slow statements, numbers that run out. No I/O. */
export function checkActivity(snapshot: Snapshot): DoctorFinding[] {
  const { activity, limits } = snapshot;
  return [
    ...age(snapshot),
    ...activity.transactions.filter(({ seconds }) => seconds >= limits.transactionSeconds).map(openTransaction),
    ...activity.prepared
      .filter(({ seconds }) => seconds >= limits.preparedSeconds)
      .map(({ gid, owner, seconds }) =>
        finding(
          "prepared-transaction",
          "warning",
          gid,
          `The prepared transaction ${gid} of ${owner} is ${duration(seconds)} old. It keeps its locks and holds vacuum back, through ` +
            "restarts too, until somebody ends it.",
          `rollback prepared '${gid.replaceAll("'", "''")}'; -- or: commit prepared`,
        ),
      ),
    ...slow(snapshot),
    ...activity.sequences
      .filter(({ used }) => used > 0.8)
      .map(({ name, used }) =>
        finding(
          "sequence-near-end",
          "error",
          name,
          `The sequence ${name} has given out ${percent(used)} of its numbers; at its end every insert fails.`,
          `alter sequence ${name} as bigint no maxvalue;`,
        ),
      ),
  ];
}

function age({ activity, server, limits, tables }: Snapshot): DoctorFinding[] {
  const most = numberOf(server, "autovacuum_freeze_max_age");
  if (activity.age < limits.freezeShare * most) return [];
  const oldest = tables.filter(({ partitioned }) => !partitioned).toSorted((a, b) => b.age - a.age)[0];
  return [
    finding(
      "transaction-id-age",
      "error",
      server.database,
      `The oldest row of the database ${server.database} is ${countText(activity.age)} transactions old, and autovacuum should have frozen it ` +
        `at ${countText(most)} (autovacuum_freeze_max_age). At two thousand million the server refuses to write.`,
      `-- end what holds it back first: doctor names it;\nvacuum (freeze)${oldest === undefined ? "" : ` ${oldest.name}`};`,
    ),
  ];
}

function openTransaction({ pid, role, application, state, seconds, holdsBack }: OpenTransaction): DoctorFinding {
  const idle = state.startsWith("idle in transaction");
  const who = `Process ${pid}${role === null ? "" : ` of ${role}`}${application === "" ? "" : ` (${application})`}`;
  const held =
    holdsBack === null
      ? "It keeps its locks."
      : `Rows that died in the last ${countText(holdsBack)} transactions cannot be removed by any vacuum, and a graph keeps them.`;
  return finding(
    idle ? "idle-in-transaction" : "long-transaction",
    "warning",
    `pid ${pid}`,
    `${who} has been ${idle ? "idle in a transaction" : "in one transaction"} for ${duration(seconds)}. ${held}`,
    `select pg_terminate_backend(${pid});` +
      (idle ? "\nalter system set idle_in_transaction_session_timeout = '5min';\nselect pg_reload_conf();" : ""),
  );
}

function slow({ activity, limits, layout }: Snapshot): DoctorFinding[] {
  return (activity.statements ?? [])
    .filter(({ name, meanMs, calls }) => SEARCHES.has(name) && meanMs >= limits.slowMs && calls >= limits.slowCalls)
    .map(({ name, calls, meanMs }) =>
      finding(
        "slow-statement",
        "warning",
        name,
        `The library's statement ${name} took ${meanMs.toFixed(0)} ms on average over ${countText(calls)} calls.`,
        `npx langchain-pgvector explain "a typical question" --table ${layout.table}`,
      ),
    );
}

/** Statements of applications; those of maintenance take as long as they take. */
const SEARCHES: ReadonlySet<string> = new Set(["search", "search-lexical", "search-hybrid", "get", "upsert", "delete"]);

function duration(seconds: number): string {
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}
