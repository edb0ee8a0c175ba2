import { finding, type DoctorFinding } from "../finding.js";
import type { ExplainedStatement } from "./explanation.js";
import { serves } from "./index-faults.js";
import { nodesOf } from "./plan.js";
import { planFindings } from "./plan-findings.js";
import { whyNoIndex, type SearchedStore } from "./search-findings.js";

const OPERATOR = /<=>|<->|<#>|<\+>|<~>|<%>/;
const OPERATORS: Readonly<Record<string, string>> = {
  l2_ops: "<->",
  cosine_ops: "<=>",
  ip_ops: "<#>",
  l1_ops: "<+>",
};

/** Why a query of the caller's own went as it did: its shape decides whether an index can serve it. No I/O. */
export function queryFindings(statement: ExplainedStatement, store: SearchedStore): DoctorFinding[] {
  const plan = planFindings(statement, store);
  const nodes = nodesOf(statement.plan.Plan);
  const limited = nodes.some((node) => node["Node Type"] === "Limit");
  if (statement.vectorIndex !== undefined) {
    return limited ? plan : [cutOff(statement, nodes[0]!["Actual Rows"] ?? 0), ...plan];
  }
  const key = nodes.flatMap((node) => node["Sort Key"] ?? []).find((text) => OPERATOR.test(text));
  if (key === undefined) return plan;
  const reason = limited ? shapeFault(key, store) : withoutLimit(key);
  return [...(reason === undefined ? whyNoIndex(statement, false, store) : [reason]), ...plan];
}

function shapeFault(key: string, { indexes, needs }: SearchedStore): DoctorFinding | undefined {
  const { column } = needs.model;
  const good = indexes.find((index) => serves(index, needs));
  const operator = OPERATOR.exec(key)![0];
  const served = OPERATORS[good?.opclass.replace(/^[a-z]+_/, "") ?? ""];
  const right = `order by ${column} ${served ?? operator} $1 limit 10`;
  if (/ DESC\b/.test(key)) {
    return finding(
      "query-order-descending",
      "warning",
      "order by",
      `The query orders by ${key}: an index gives the nearest rows first, so only an ascending order can use it.`,
      `-- write: ${right}`,
    );
  }
  const bare = withoutParentheses(key.replace(/ NULLS (FIRST|LAST)$/, ""));
  const columnPart = bare.slice(0, bare.search(OPERATOR)).trim();
  if (!/^\(?(\w+\.)?"?\w+"?\)?(::\w+(\(\d+\))?)?$/.test(columnPart)) {
    return finding(
      "query-order-not-bare",
      "warning",
      "order by",
      `The query orders by ${key}: an index serves the bare distance only, not what is computed from it.`,
      `-- write: ${right}, and compute in an outer query`,
    );
  }
  if (columnPart.includes("::")) {
    return finding(
      "query-casts-column",
      "warning",
      "order by",
      `The query orders by ${key}, which casts the column: to the planner that is another expression than the indexed column.`,
      `-- cast the parameter and not the column: ${right}`,
    );
  }
  if (served !== undefined && served !== operator) {
    return finding(
      "query-operator-mismatch",
      "warning",
      "order by",
      `The query orders by ${operator}, and the index ${good!.name} (${good!.opclass}) serves ${served} only.`,
      `-- write: ${right}`,
    );
  }
  return undefined;
}

function withoutLimit(key: string): DoctorFinding {
  return finding(
    "query-without-limit",
    "warning",
    "limit",
    `The query orders by ${key} and asks for all rows: an index that gives the nearest first gains nothing then.`,
    "-- add: limit 10",
  );
}

/** An index scan ends by itself after as many rows as it has candidates. */
function cutOff({ vectorIndex }: ExplainedStatement, rows: number): DoctorFinding {
  return finding(
    "query-without-limit",
    "error",
    "limit",
    `The query has no limit and goes through the index ${vectorIndex}, whose scan ends after as many rows as it looked at ` +
      `candidates: ${rows} came, however many there are.`,
    "-- add a limit of at most hnsw.ef_search, or for all rows: set local enable_indexscan = off",
  );
}

/** The expression without parentheses around all of it. */
function withoutParentheses(text: string): string {
  if (!text.startsWith("(") || !text.endsWith(")")) return text;
  let depth = 0;
  for (let at = 0; at < text.length - 1; at += 1) {
    if (text[at] === "(") depth += 1;
    else if (text[at] === ")") depth -= 1;
    if (depth === 0) return text;
  }
  return withoutParentheses(text.slice(1, -1));
}
