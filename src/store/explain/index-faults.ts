import { raw } from "sql-template-tag";
import { quoteIdentifier } from "../../db/identifiers.js";
import { finding, type DoctorFinding } from "../finding.js";
import { operatorClass, operatorClassName, operatorText, signsOf } from "../metric.js";
import type { Metric, ModelVersion } from "../../schema/layout.js";
import { indexOption, isVectorIndex, type IndexFacts } from "./read-indexes.js";

/** What the searches of a store need of an index. */
export interface IndexNeeds {
  readonly model: Pick<ModelVersion, "column" | "storageType" | "quantization" | "dimensions">;
  readonly metric: Metric;
  readonly extensionSchema: string;
}

/** Whether the store's searches can use the index, as far as its definition goes. */
export function serves(index: IndexFacts, { model, metric }: IndexNeeds): boolean {
  return isVectorIndex(index) && index.valid && isOn(index, model, metric);
}

/** Whether an index has the column or the signs that searches of a model order by, and their operator class. */
export function isOn(
  index: { readonly column: string | null; readonly opclass: string | null; readonly expression: string },
  model: Pick<ModelVersion, "column" | "storageType" | "quantization">,
  metric: Metric,
): boolean {
  if (index.opclass !== operatorClassName(metric, model.storageType, model.quantization)) return false;
  if (model.quantization !== "binary") return index.column === model.column;
  return index.column === null && index.expression.includes("binary_quantize(") && mentions(index, model.column);
}

function mentions({ expression }: { readonly expression: string }, column: string): boolean {
  return new RegExp(`\\b${escapeRegExp(column)}\\b`).test(expression);
}

/** The statement that makes the index that searches use. */
export function createIndexSql(table: string, { model, metric, extensionSchema }: IndexNeeds): string {
  const opclass = operatorClass(metric, model, extensionSchema);
  const column = quoteIdentifier(model.column);
  const indexed =
    model.quantization === "binary" ? signsOf(raw(column), model.dimensions, extensionSchema).sql : column;
  return `create index concurrently on ${table} using hnsw (${indexed} ${opclass}) with (m = 16, ef_construction = 128);`;
}

/** Why a vector index serves no search of the store, or not well. No I/O. */
export function indexFaults(index: IndexFacts, needs: IndexNeeds): DoctorFinding[] {
  if (!isVectorIndex(index) || index.building) return [];
  const replace = `${createIndexSql(index.table, needs)}\ndrop index concurrently ${index.name};`;
  const { model, metric } = needs;
  const operator = operatorText(metric, undefined);
  if (!index.valid) return [];
  if (index.column === null) {
    if (!mentions(index, model.column) || isOn(index, model, metric)) return [];
    return [
      finding(
        "index-on-expression",
        "warning",
        index.name,
        `The index ${index.name} is on the expression ${index.expression}, and the store's searches order by the bare column ` +
          `${quoteIdentifier(model.column)} ${operator} ...: a cast or a function makes it another expression, which no search uses.`,
        replace,
      ),
    ];
  }
  if (index.column !== model.column) return [];
  const wanted = operatorClassName(metric, model.storageType, model.quantization);
  if (index.opclass !== wanted) {
    return [
      finding(
        "index-wrong-operator-class",
        "warning",
        index.name,
        `The index ${index.name} has the operator class ${index.opclass}; searches by ${metric} distance use the operator ` +
          `${operator}, which only ${wanted} serves.`,
        replace,
      ),
    ];
  }
  return index.method === "ivfflat" && !index.parent ? listFaults(index, replace) : [];
}

function listFaults(index: IndexFacts, replace: string): DoctorFinding[] {
  if (index.tableBytes === 0) {
    return [
      finding(
        "index-on-empty-table",
        "error",
        index.name,
        `The IVFFlat index ${index.name} was built while ${index.table} has no rows: the centres of its lists are random, and ` +
          "searches will miss rows that are loaded now.",
        `drop index concurrently ${index.name};\n-- load the rows, then:\n${replace.split("\n")[0]}`,
      ),
    ];
  }
  const lists = indexOption(index, "lists") ?? 100;
  const wanted = wantedLists(index.rows);
  if (index.rows < 0 || (lists >= wanted / 4 && lists <= wanted * 4)) return [];
  return [
    finding(
      "ivfflat-lists-stale",
      "warning",
      index.name,
      `The IVFFlat index ${index.name} has ${lists} lists; for the ${Math.round(index.rows).toLocaleString("en")} rows that ` +
        `${index.table} has now, about ${wanted} are right. ` +
        (lists < wanted
          ? "Each search reads lists that are too long."
          : "Lists are nearly empty, so searches miss rows."),
      `alter index ${index.name} set (lists = ${wanted});\nreindex index concurrently ${index.name};`,
    ),
  ];
}

/** pgvector's own rule: a thousandth of the rows up to a million, then the square root. */
function wantedLists(rows: number): number {
  return Math.max(10, Math.round(rows <= 1_000_000 ? rows / 1_000 : Math.sqrt(rows)));
}

function escapeRegExp(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
}
