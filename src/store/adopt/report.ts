import type { SchemaStep } from "../../schema/plan.js";
import type { Survey } from "./survey.js";

/** What adopting did, or would do. */
export interface AdoptReport {
  /** `planned` and `index missing` come from a plan, the others from adopting. */
  readonly outcome: "planned" | "adopted" | "already adopted" | "index missing" | "index built";
  /** SQL by step; it runs in one transaction. */
  readonly steps: readonly SchemaStep[];
  readonly rows: number;
  /** Bytes of the table with its indexes. The rewrite needs about as much free disk again while it runs. */
  readonly bytes: number;
  readonly dimensions: number;
  readonly collections: readonly string[];
  /** Vector indexes that are dropped for the rewrite; one HNSW index is built again afterwards, online. */
  readonly vectorIndexes: readonly string[];
  /** Searches whose results were compared before and after; 0 for a plan. */
  readonly comparedSearches: number;
}

export function toReport(
  outcome: AdoptReport["outcome"],
  survey: Survey,
  steps: readonly SchemaStep[],
  comparedSearches: number,
): AdoptReport {
  return {
    outcome,
    steps,
    rows: survey.rows,
    bytes: survey.bytes,
    dimensions: survey.dimensions,
    collections: [...survey.collections.values()],
    vectorIndexes: survey.vectorIndexes.map((index) => index.name),
    comparedSearches,
  };
}

/** For a table that is adopted already. */
export function emptyReport(outcome: AdoptReport["outcome"]): AdoptReport {
  return {
    outcome,
    steps: [],
    rows: 0,
    bytes: 0,
    dimensions: 0,
    collections: [],
    vectorIndexes: [],
    comparedSearches: 0,
  };
}
