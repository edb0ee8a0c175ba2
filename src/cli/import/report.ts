import type { ImportedCollection, ImportPlan, ImportReport, PlannedCollection } from "../../chroma/index.js";
import { count } from "../tenants/administer.js";

export function planText({ source, collections, empty }: ImportPlan): string {
  return [
    `-- from ${source}; nothing was changed`,
    ...collections.map(planned),
    ...empty.map((name) => `${name}: empty, left out`),
  ].join("\n");
}

function planned(plan: PlannedCollection): string {
  const { name, records, dimensions, metric, tableExists, existing, staged, problems } = plan;
  const facts = [
    records === undefined ? "an unknown number of records" : count(records, "record"),
    `${dimensions} dimensions`,
    metric,
    ...(plan.model === undefined ? [] : [plan.model]),
  ];
  return [
    `${name}: ${facts.join(", ")} -> ${place(plan)}${tableExists ? "" : " (to be made)"}`,
    ...(existing > 0 ? [`  there already: ${count(existing, "row")}`] : []),
    ...(staged > 0 ? [`  copied by an interrupted run: ${count(staged, "record")}`] : []),
    ...problems.map((problem) => `  would be refused: ${problem}`),
  ].join("\n");
}

export function reportText({ collections, empty, warnings }: ImportReport): string {
  return [
    ...collections.map(imported),
    ...empty.map((name) => `${name}: empty, left out`),
    ...warnings.map((warning) => `warning: ${warning}`),
  ].join("\n");
}

function imported(report: ImportedCollection): string {
  const { name, records, resumed, skipped, nulRemoved, unsafeIntegers, verification, seconds } = report;
  const searches =
    verification?.overlap === undefined
      ? ""
      : `, ${verification.queries} sampled searches share ${(verification.overlap * 100).toFixed(1)} % of their results`;
  return [
    `${name}: ${count(records, "record")} -> ${place(report)} in ${seconds.toFixed(1)} s`,
    ...(verification === undefined
      ? ["  not compared with the source"]
      : [
          `  compared: ${count(verification.compared, "record")} equal, vectors ${verification.vectorChecksum}${searches}`,
        ]),
    ...(verification !== undefined && verification.changed > 0
      ? [`  ${count(verification.changed, "record")} had changed at the source meanwhile and were copied again`]
      : []),
    ...(resumed > 0 ? [`  ${count(resumed, "record")} of them by an interrupted run`] : []),
    ...(skipped > 0
      ? [
          `  skipped: ${count(skipped, "record")}`,
          ...report.firstSkipped.slice(0, 10).map(({ id, reason }) => `    ${id}: ${reason}`),
        ]
      : []),
    ...(nulRemoved > 0 ? [`  NUL characters removed from ${count(nulRemoved, "document")}`] : []),
    ...(unsafeIntegers > 0 ? [`  ${count(unsafeIntegers, "metadata number")} beyond 2^53 rounded`] : []),
  ].join("\n");
}

function place({ table, tenant, collection }: { table: string; tenant: string; collection: string }): string {
  return [
    `table ${table}`,
    ...(tenant === "default" ? [] : [`tenant ${tenant}`]),
    ...(collection === "" ? [] : [`collection ${collection}`]),
  ].join(", ");
}
