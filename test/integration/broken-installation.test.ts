import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { PostgresVectorStore, type DoctorFinding } from "../../src/index.js";
import type { Fault } from "../helpers/faults/fault.js";
import { INDEX_FAULTS } from "../helpers/faults/indexes.js";
import { ACTIVITY_FAULTS } from "../helpers/faults/activity.js";
import { SCHEMA_FAULTS } from "../helpers/faults/schema.js";
import { SEARCH_FAULTS, type SearchFault } from "../helpers/faults/searches.js";
import { SETTING_FAULTS } from "../helpers/faults/settings.js";
import { TABLE_FAULTS } from "../helpers/faults/tables.js";
import { TENANCY_FAULTS } from "../helpers/faults/tenancy.js";
import { openBrokenInstallation, statementsOf, type BrokenInstallation } from "../helpers/faults/installation.js";
import { startStandby } from "../helpers/standby.js";

const FAULTS: readonly Fault[] = [
  ...INDEX_FAULTS,
  ...TABLE_FAULTS,
  ...SETTING_FAULTS,
  ...SCHEMA_FAULTS,
  ...TENANCY_FAULTS,
  ...ACTIVITY_FAULTS,
];

const TABLES = ["notes", "plain", "loose", "empty", "parts"];

/** A megabyte of it, after the table. */
const WRITE_LOG =
  "create table log_filler as select repeat(md5(g::text), 50) from generate_series(1, 1000) g\ndrop table log_filler";

const native = inject("testServer")?.source === "native";

describe.skipIf(!native)(`a broken installation${native ? "" : " (needs native PostgreSQL binaries)"}`, () => {
  let installation: BrokenInstallation;

  beforeAll(async () => {
    installation = (await openBrokenInstallation())!;
  });
  afterAll(() => installation.close());

  const named = (sql: string): string =>
    sql.replaceAll("alter database current ", `alter database ${installation.name} `);

  const tidy = (fault: Fault): Promise<void> => installation.sql(named(fault.tidy ?? ""));

  it.each(TABLES)("has nothing to be found while it is whole: %s", async (table) => {
    const { findings, unseen } = await installation.examine({ table });
    expect(findings).toEqual([]);
    expect(unseen.map(({ what }) => what).filter((what) => !what.startsWith("bloat"))).toEqual([]);
  });

  /** Plants the look-alikes, looks, and removes them. */
  const besideHealthy = async (faults: readonly Fault[], look: () => Promise<void>): Promise<void> => {
    const undo: (() => Promise<unknown>)[] = [];
    const clients: Client[] = [];
    try {
      await installation.sql(
        named(faults.flatMap(({ healthy }) => (typeof healthy === "string" ? healthy : [])).join("\n")),
      );
      for (const { healthy } of faults) {
        if (typeof healthy === "string") continue;
        clients.push(await installation.client());
        undo.push((await healthy(installation, clients.at(-1)!)) ?? (() => Promise.resolve()));
      }
      await look();
    } finally {
      for (const one of undo.toReversed()) await one();
      for (const one of clients) await one.end();
      for (const fault of faults) await tidy(fault);
    }
  };

  it("has nothing to be found with the healthy look-alikes of the faults", async () => {
    const together = FAULTS.filter(({ apart }) => apart === undefined);
    await besideHealthy(together, async () => {
      for (const table of TABLES) expect((await installation.examine({ table })).findings).toEqual([]);
    });
  });

  it.each(FAULTS.filter(({ apart }) => apart !== undefined).map((fault) => [fault.id, fault] as const))(
    "has nothing to be found with the healthy look-alike of %s",
    async (_, fault) => {
      await besideHealthy([fault], async () => {
        expect((await installation.examine({ ...fault, ...fault.apart })).findings).toEqual([]);
      });
    },
  );

  it.each(FAULTS.map((fault) => [`${fault.id}: ${fault.name}`, fault] as const))("%s", async (_, fault) => {
    const client = await installation.client();
    let undo: void | (() => Promise<unknown>) = undefined;
    try {
      if (typeof fault.plant === "string") await installation.sql(named(fault.plant));
      else undo = await fault.plant(installation, client);
      const { findings } = await installation.examine(fault);
      const distinct = [...new Set(findings.map(({ id }) => id))].toSorted();
      expect(distinct).toEqual([...new Set([fault.id, ...(fault.also ?? [])])].toSorted());
      const found = findings.find(({ id }) => id === fault.id)!;
      expect(found.evidence).toMatch(fault.evidence);
      expect(found.cure).toMatch(fault.cure);
      expect(found.fixable).toBe(fault.heal === "fix");
      expect(found.page).toMatch(new RegExp(`^docs/findings/\\w+\\.md#${fault.id}$`));
      if (fault.heal === "fix") {
        const fixed = await installation.fix(fault);
        expect(fixed.filter(({ outcome }) => outcome !== "fixed")).toEqual([]);
        expect(fixed.map(({ id }) => id)).toContain(fault.id);
      } else if (fault.heal === "cure") await installation.sql(statementsOf(found.cure).join("\n"));
    } finally {
      if (typeof fault.heal !== "string") await installation.sql(named(fault.heal.sql));
      await undo?.();
      await tidy(fault);
      await client.end();
    }
    // The next fault's findings show that this one is gone; that a cure cures has to be seen at once.
    if (typeof fault.heal !== "string") return;
    expect((await installation.examine({ ...fault, limits: {} })).findings).toEqual([]);
  });

  const explained = async (
    fault: SearchFault,
    plant: string,
    explain: SearchFault["explain"],
  ): Promise<readonly DoctorFinding[]> => {
    await installation.sql(named(plant));
    const { embeddings, ownerUrl: connectionString } = installation;
    const store = await PostgresVectorStore.initialize(embeddings, { connectionString, tableName: fault.table });
    try {
      return (await explain(store)).findings;
    } finally {
      await store.end();
      await installation.sql(named(fault.tidy));
    }
  };

  it.each(SEARCH_FAULTS.map((fault) => [`${fault.id}: ${fault.name}`, fault] as const))(
    "explained: %s",
    async (_, fault) => {
      const findings = await explained(fault, fault.plant, fault.explain);
      expect(findings).toEqual([
        expect.objectContaining({
          id: fault.id,
          evidence: expect.stringMatching(fault.evidence) as string,
          cure: expect.stringMatching(fault.cure) as string,
          page: `docs/findings/search.md#${fault.id}`,
        }),
      ]);
      expect(await explained(fault, fault.healthy, fault.explainHealthy ?? fault.explain)).toEqual([]);
    },
  );

  it("replication-lag: a standby that has stopped replaying", async () => {
    const standby = await startStandby(installation.url);
    const replaying = new Client({ connectionString: standby.at(installation.url) });
    const look = async (): Promise<readonly DoctorFinding[]> =>
      (await installation.examine({ table: "empty", limits: { lagBytes: 500_000 } })).findings;
    const until = async (done: (bytes: number) => boolean): Promise<void> => {
      const client = await installation.client();
      for (;;) {
        const { rows } = await client.query<{ bytes: number | null }>(
          "select pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::float8 as bytes from pg_stat_replication",
        );
        if (rows[0]?.bytes != null && done(rows[0].bytes)) break;
      }
      await client.end();
    };
    try {
      await replaying.connect();
      await installation.sql(WRITE_LOG);
      await until((bytes) => bytes === 0);
      expect(await look()).toEqual([]);
      await replaying.query("select pg_wal_replay_pause()");
      await installation.sql(WRITE_LOG);
      await until((bytes) => bytes > 500_000);
      expect(await look()).toEqual([
        expect.objectContaining({
          id: "replication-lag",
          evidence: expect.stringMatching(/^The standby \w+ is [\d.]+ [kM]B of log behind/) as string,
          cure: expect.stringContaining("select pg_wal_replay_resume()") as string,
          page: "docs/findings/server.md#replication-lag",
        }),
      ]);
      await replaying.query("select pg_wal_replay_resume()");
      await until((bytes) => bytes === 0);
      expect(await look()).toEqual([]);
    } finally {
      await replaying.end();
      await standby.remove();
    }
  });
});
