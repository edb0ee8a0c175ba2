import { bytesText, countText, type DoctorFinding } from "../finding.js";
import type { ExplainedStatement } from "./explanation.js";
import type { TableAccess } from "./plan.js";

const BLOCK_BYTES = 8_192;

/** Statements and findings in words. */
export function explainText(statements: readonly ExplainedStatement[], findings: readonly DoctorFinding[]): string {
  return [...statements.map(statementText), ...findings.map(findingText)].join("\n");
}

function statementText({ name, executionMs, planningMs, vectorIndex, tables, blocks }: ExplainedStatement): string {
  const index =
    vectorIndex === undefined
      ? "no vector index gave the order: the distance of every candidate was computed"
      : `the vector index ${vectorIndex} gave the order`;
  const temporary = blocks.temporary > 0 ? `, ${bytesText(blocks.temporary * BLOCK_BYTES)} of temporary files` : "";
  return [
    `${name}: ${executionMs.toFixed(1)} ms, and ${planningMs.toFixed(1)} ms to plan it; ${index}`,
    ...tables.map(accessText),
    `  memory: ${bytesText(blocks.hit * BLOCK_BYTES)} from shared_buffers, ${bytesText(blocks.read * BLOCK_BYTES)} from outside of it${temporary}`,
  ].join("\n");
}

function accessText({ table, method, index, rows, removed }: TableAccess): string {
  const by = index === undefined ? "" : ` by ${index}`;
  const more = removed === undefined ? "others, not only the tenant's," : `${countText(removed)} more`;
  const dropped = removed === 0 ? "" : `, ${more} were read and removed by the filter`;
  return `  ${table}: ${method.toLowerCase()}${by}, ${countText(rows)} ${rows === 1 ? "row" : "rows"}${dropped}`;
}

/** One finding, as `doctor` and `explain` print it. */
export function findingText({ id, severity, evidence, cure, page }: DoctorFinding): string {
  return `${severity.padEnd(7)}  ${evidence} [${id}]\n${cure.replace(/^/gm, "         ")}\n         more: ${page}`;
}
