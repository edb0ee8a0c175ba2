import { quoteIdentifier, quoteQualified } from "../../db/identifiers.js";
import type { SchemaStep } from "../../schema/plan.js";
import type { BuildNeed } from "../../store/build-memory.js";
import type { WantedIndex } from "../../store/build-index.js";
import { readIndexSizing } from "../../store/index-sizing.js";
import type { OpenStore } from "../../store/open.js";

/** What a change to the indexes would do. */
export interface IndexPlan {
  /** In order; statements that say `concurrently` are no part of a transaction. */
  readonly steps: readonly SchemaStep[];
  readonly warnings: readonly string[];
  /** Rows that the table is estimated to have. */
  readonly rows: number;
  /** Bytes that the build is estimated to need. */
  readonly memory: number;
}

/** What building an index would run. */
export async function describeCreate(
  store: OpenStore,
  index: WantedIndex,
  need: BuildNeed,
  { concurrently = true }: { readonly concurrently?: boolean | undefined },
  warnings: readonly string[],
): Promise<IndexPlan> {
  const { rows } = await readIndexSizing(store);
  const on = quoteQualified(index.schema, index.table);
  const name = quoteIdentifier(index.name);
  const online = concurrently ? "concurrently " : "";
  const steps: SchemaStep[] = store.partitioned
    ? [
        { name: "create-partitioned-index", sql: `create index ${name} on only ${on} ${index.using.sql};\n` },
        {
          name: "create-index",
          sql:
            "-- on each partition, one after the other:\n" +
            `-- create index ${online}<partition>_... on <partition> ${index.using.sql};\n` +
            `-- alter index ${name} attach partition <partition>_...;\n`,
        },
      ]
    : [{ name: "create-index", sql: `create index ${online}${name} on ${on} ${index.using.sql};\n` }];
  return { steps, warnings, rows, memory: bytesOf(need, rows) };
}

export function bytesOf(need: BuildNeed, rows: number): number {
  return Math.ceil("total" in need ? need.total : need.perRow * rows);
}
