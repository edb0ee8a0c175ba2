import { Client } from "pg";
import type { Fault, Planted } from "./fault.js";
import type { BrokenInstallation } from "./installation.js";

/** @returns what comes back when the statement has ended. */
async function sleepOn(installation: BrokenInstallation, client: Client): Promise<() => Promise<unknown>> {
  const running = client.query("select pg_sleep(600)").catch(() => undefined);
  const other = await installation.client();
  for (;;) {
    const { rowCount } = await other.query(
      "select from pg_stat_activity where query like '%pg_sleep(600)%' and state = 'active' and pid <> pg_backend_pid()",
    );
    if (rowCount === 1) break;
  }
  await other.end();
  return () => running;
}

function connectTimes(count: number): Planted {
  return async ({ url }) => {
    const clients = Array.from({ length: count }, () => new Client({ connectionString: url }));
    await Promise.all(clients.map((one) => one.connect()));
    return () => Promise.all(clients.map((one) => one.end()));
  };
}

export const ACTIVITY_FAULTS: readonly Fault[] = [
  {
    id: "idle-in-transaction",
    name: "a transaction that somebody forgot",
    table: "empty",
    plant: async (_, client) => {
      await client.query("begin; select pg_current_xact_id(); lock table empty in access share mode");
    },
    limits: { transactionSeconds: 0 },
    evidence:
      /^Process \d+ of postgres has been idle in a transaction for .* cannot be removed by any vacuum|keeps its locks/,
    cure: /^select pg_terminate_backend\(\d+\);\nalter system set idle_in_transaction_session_timeout/,
    heal: "cure",
    healthy: async (_, client) => {
      await client.query("begin; select pg_current_xact_id(); lock table empty in access share mode");
      return () => client.query("rollback");
    },
    tidy: "alter system reset idle_in_transaction_session_timeout\nselect pg_reload_conf()",
  },
  {
    id: "long-transaction",
    name: "a statement that does not end",
    table: "empty",
    plant: sleepOn,
    limits: { transactionSeconds: 0 },
    evidence: /has been in one transaction for .* cannot be removed by any vacuum/,
    cure: /^select pg_terminate_backend\(\d+\);$/,
    heal: "cure",
    healthy: async (installation, client) => {
      const ended = await sleepOn(installation, client);
      return async () => {
        await installation.sql(
          "select pg_terminate_backend(pid) from pg_stat_activity where query ~ '^select pg_sleep.600'",
        );
        await ended();
      };
    },
  },
  {
    id: "prepared-transaction",
    name: "a prepared transaction that nobody ends",
    table: "empty",
    plant: "begin\nlock table empty in access share mode\nprepare transaction 'forgotten'",
    limits: { preparedSeconds: 0 },
    evidence: /The prepared transaction forgotten of postgres is .* old/,
    cure: /^rollback prepared 'forgotten';/,
    heal: "cure",
    healthy: "begin\nlock table empty in access share mode\nprepare transaction 'young'\nrollback prepared 'young'",
  },
  {
    id: "transaction-id-age",
    name: "rows that were not frozen in time",
    table: "empty",
    plant: "do $$ begin for i in 1..1200 loop perform pg_current_xact_id(); commit; end loop; end $$",
    limits: { freezeShare: 5e-6 },
    evidence: /is [\d,]+ transactions old, and autovacuum should have frozen it at 200,000,000/,
    cure: /vacuum \(freeze\)/,
    heal: { sql: "vacuum (freeze) notes" },
    healthy:
      "do $$ begin for i in 1..1200 loop perform pg_current_xact_id(); commit; end loop; end $$\nvacuum (freeze)",
    apart: {},
  },
  {
    id: "slow-statement",
    name: "searches that take too long",
    table: "empty",
    // A statement is listed under the text by which it was first seen, without regard to comments.
    plant: [
      "select pg_stat_statements_reset()",
      ...Array.from({ length: 10 }, () => "select /* langchain-pgvector:search */ pg_sleep(0.02)"),
    ].join("\n"),
    limits: { slowMs: 15 },
    evidence: /statement search took \d+ ms on average over 10 calls/,
    cure: /explain "a typical question" --table empty/,
    heal: { sql: "select pg_stat_statements_reset()" },
    healthy: "select /* langchain-pgvector:search */ 1",
    tidy: "select pg_stat_statements_reset()",
  },
  {
    id: "connections-near-limit",
    name: "too few connections",
    table: "empty",
    plant: connectTimes(30),
    evidence: /^3\d of 37 connections are in use/,
    cure: /PgBouncer/,
    heal: { sql: "" },
    healthy: connectTimes(15),
  },
  {
    id: "replication-slot-behind",
    name: "a slot that nobody reads",
    table: "empty",
    plant:
      "select pg_create_physical_replication_slot('lost', true)\ncreate table filler as select g, md5(g::text) from generate_series(1, 2000) g",
    limits: { lagBytes: 50_000 },
    evidence: /Nobody reads from the replication slot lost/,
    cure: /^select pg_drop_replication_slot\('lost'\);$/,
    heal: "cure",
    healthy: "select pg_create_physical_replication_slot('unreserved')",
    tidy: "select pg_drop_replication_slot(slot_name) from pg_replication_slots\ndrop table if exists filler",
  },
];
