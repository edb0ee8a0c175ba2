import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import type { Fault } from "../helpers/faults/fault.js";
import { INDEX_FAULTS } from "../helpers/faults/indexes.js";
import { ACTIVITY_FAULTS } from "../helpers/faults/activity.js";
import { SCHEMA_FAULTS } from "../helpers/faults/schema.js";
import { SETTING_FAULTS } from "../helpers/faults/settings.js";
import { TABLE_FAULTS } from "../helpers/faults/tables.js";
import { TENANCY_FAULTS } from "../helpers/faults/tenancy.js";
import { openBrokenInstallation, statementsOf, type BrokenInstallation } from "../helpers/faults/installation.js";

const FAULTS: readonly Fault[] = [
  ...INDEX_FAULTS,
  ...TABLE_FAULTS,
  ...SETTING_FAULTS,
  ...SCHEMA_FAULTS,
  ...TENANCY_FAULTS,
  ...ACTIVITY_FAULTS,
];

const TABLES = ["notes", "plain", "loose", "empty", "parts"];

const native = inject("testServer")?.source === "native";

describe.skipIf(!native)(`a broken installation${native ? "" : " (needs native PostgreSQL binaries)"}`, () => {
  let installation: BrokenInstallation;

  beforeAll(async () => {
    installation = (await openBrokenInstallation())!;
  }, 60_000);
  afterAll(() => installation.close());

  const named = (sql: string): string =>
    sql.replaceAll("alter database current ", `alter database ${installation.name} `);

  const tidy = (fault: Fault): Promise<void> => installation.sql(named(fault.tidy ?? ""));

  it.each(TABLES)("has nothing to be found while it is whole: %s", async (table) => {
    const { findings, unseen } = await installation.examine({ table });
    expect(findings).toEqual([]);
    expect(unseen.map(({ what }) => what).filter((what) => !what.startsWith("bloat"))).toEqual([]);
  });

  it("has nothing to be found with the healthy look-alike of each fault", async () => {
    await installation.sql(named(FAULTS.flatMap(({ healthy }) => healthy ?? []).join("\n")));
    for (const table of TABLES) {
      expect((await installation.examine({ table })).findings).toEqual([]);
    }
    for (const fault of FAULTS) await tidy(fault);
  });

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
});
