import { readFileSync, readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { versionFindings, vectorFindings } from "../../src/ops/doctor/check-server.js";
import { isVacuumedLate, vacuumAdvice, vacuumSettings } from "../../src/ops/doctor/vacuum-advice.js";
import { FINDING_PAGES, pageOf } from "../../src/store/finding.js";

const folder = new URL("../../docs/findings/", import.meta.url);
const sections = readdirSync(folder).flatMap((file) =>
  readFileSync(new URL(file, folder), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("## "))
    .map((line) => `docs/findings/${file}#${line.slice(3)}`),
);

/** The ids of the tenancy linter, which exist as a type only. */
const lint = readFileSync(new URL("../../src/ops/tenancy-lint/finding.ts", import.meta.url), "utf8");
const union = /FindingCode =([^;]*);/.exec(lint)![1]!;
const codes = [...union.matchAll(/\| "([a-z-]+)"/g)].map(([, code]) => code!);

it("has a section for each finding, and no other", () => {
  const wanted = [...FINDING_PAGES.values(), ...codes.map(pageOf)];
  expect(codes.length).toBeGreaterThan(20);
  expect(sections.toSorted()).toEqual(wanted.toSorted());
});

it.each([
  [140_019, ["server-old"]],
  [150_013, ["server-known-defects"]],
  [150_014, []],
  [160_009, ["server-known-defects"]],
  [160_010, []],
  [170_005, ["server-known-defects"]],
  [170_006, []],
  [180_000, []],
])("knows the defects of server version %i", (version, ids) => {
  expect(versionFindings(version).map(({ id }) => id)).toEqual(ids);
});

it.each([
  [undefined, "0.8.7", ["pgvector-missing"]],
  ["0.7.4", "0.7.4", ["pgvector-old"]],
  ["0.8.3", "0.8.7", ["pgvector-old"]],
  ["0.8.4", "0.8.7", ["pgvector-update-pending"]],
  ["0.8.7", "0.8.7", []],
  ["0.10.0", "0.10.0", []],
  ["0.8.7", null, []],
])("knows the defects of pgvector %s where %s is packaged", (version, available, ids) => {
  expect(vectorFindings(version, available).map(({ id }) => id)).toEqual(ids);
});

it.each([
  [10_000, 0.05],
  [100_000, 0.05],
  [1_000_000, 0.019],
  [10_000_000, 0.0019],
])("lets at most 20,000 rows and 5 %% of %i die before autovacuum comes", (rows, scaleFactor) => {
  const settings = vacuumSettings(rows);
  expect(settings).toEqual({ threshold: 1_000, scaleFactor });
  expect(isVacuumedLate(rows, settings.threshold, settings.scaleFactor)).toBe(false);
  expect(isVacuumedLate(rows, 50, 0.2)).toBe(rows > 99_750);
});

it("builds a graph anew before it repairs a third of it", () => {
  expect(vacuumAdvice("t", 1_000, 9_000, []).cure).toBe("vacuum (analyze, index_cleanup on, truncate off) t;");
  expect(vacuumAdvice("t", 1_000, 9_000, ["g"]).cure).toMatch(/^vacuum/);
  expect(vacuumAdvice("t", 1_000, 9_000, ["g"]).cost).toContain("about 4 s");
  expect(vacuumAdvice("t", 5_000, 5_000, ["g"]).cure).toMatch(/^reindex index concurrently g;\nvacuum/);
});
