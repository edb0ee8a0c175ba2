import type { IndexInfo } from "./list.js";

/** From here on a search without an index takes tens of milliseconds. */
const ROWS_WITHOUT_INDEX = 10_000;

/**
 * What is wrong with the indexes of a store, each with what to do about it. No I/O.
 *
 * @param rows of the table, as estimated.
 */
export function adviseIndexes(indexes: readonly IndexInfo[], rows: number): string[] {
  const advice: string[] = [];
  const vector = indexes.filter(({ type }) => type === "hnsw" || type === "ivfflat");
  for (const { name, leftover } of indexes.filter(({ valid, building, parent }) => !valid && !building && !parent)) {
    // A partitioned table's own index is invalid while a partition lacks its part.
    const parts = indexes.some((index) => index.parent === name);
    advice.push(
      leftover
        ? `${name} is what an interrupted rebuild has left: it slows every write. Remove it with: indexes drop ${name}`
        : parts
          ? `${name} lacks its part on some partition. Build it with: indexes create`
          : `${name} is invalid, since its build was interrupted: it slows every write and serves no search. ` +
            `Repair it with: indexes rebuild ${name}`,
    );
  }
  for (const { name, parameters, staleLists } of indexes) {
    if (staleLists === undefined) continue;
    advice.push(
      `${name} has ${parameters["lists"] ?? 100} lists and its rows call for ${staleLists}. ` +
        `Rebuild it with: indexes rebuild ${name} --lists ${staleLists}`,
    );
  }
  for (const { name, metric } of vector.filter(({ valid, serves }) => valid && !serves)) {
    advice.push(
      `${name} (${metric ?? "another operator class"}) serves no search of this store: column or metric are not its own. ` +
        `Unless somebody else uses it, remove it with: indexes drop ${name}`,
    );
  }
  if (rows >= ROWS_WITHOUT_INDEX && !indexes.some(({ serves, tenantId }) => serves && tenantId === undefined)) {
    advice.push(
      `No index covers the searches of all rows, some ${Math.round(rows).toLocaleString("en")}, which are therefore read one ` +
        "by one. Build one with: indexes create",
    );
  }
  return advice;
}
