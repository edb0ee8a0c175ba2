import { bytesText, countText, finding, fixable, type DoctorFinding } from "../../store/finding.js";
import { createIndexSql, indexFaults, serves } from "../../store/explain/index-faults.js";
import { isVectorIndex, type IndexFacts } from "../../store/explain/read-indexes.js";
import { bytesOf } from "./read-server.js";
import { storeOf, type Snapshot, type StoreSnapshot } from "./snapshot.js";

/** Indexes that are broken, useless, double, missing or too large. No I/O. */
export function checkIndexes(snapshot: Snapshot): DoctorFinding[] {
  const store = storeOf(snapshot);
  if (store === undefined) return [];
  const { indexes, needs } = store;
  const faults = indexes.flatMap((index) => indexFaults(index, needs));
  return [
    ...indexes.flatMap((index) => invalid(index, indexes)),
    ...faults,
    ...missing(store, faults),
    ...duplicates(indexes),
    ...unused(store, new Set(faults.map(({ object }) => object))),
    ...tooLarge(store),
  ];
}

function invalid(index: IndexFacts, indexes: readonly IndexFacts[]): DoctorFinding[] {
  if (index.valid || index.building) return [];
  const { name, table } = index;
  if (index.parent) {
    return [
      finding(
        "index-partition-missing",
        "warning",
        name,
        `The index ${name} of the partitioned table is not complete: a partition has no part of it, and searches there read all rows.`,
        "await store.createHnswIndex(); // goes on where the build has stopped",
      ),
    ];
  }
  // A unique index may have failed over its rows, and remains of a reindex have their index beside them.
  const remains = index.unique || /_cc(new|old)\d*"?$/.test(name) || hasTwin(index, indexes);
  const cure = remains ? `drop index concurrently ${name};` : `reindex index concurrently ${name};`;
  return [
    fixable(
      "index-invalid",
      "error",
      name,
      `The index ${name} on ${table} is invalid: its build was interrupted or failed. Every write pays for it, and no search uses it.`,
      cure,
    ),
  ];
}

function hasTwin(index: IndexFacts, indexes: readonly IndexFacts[]): boolean {
  return indexes.some(
    (other) => other.valid && other.table === index.table && other.definition === index.definition && other !== index,
  );
}

/** Large tables without an index that searches can use, whatever else there is. */
function missing(store: StoreSnapshot, faults: readonly DoctorFinding[]): DoctorFinding[] {
  const { tables, indexes, needs, limits, layout } = store;
  const parts = tables.filter(({ root, partitioned }) => root === layout.table && !partitioned);
  return parts.flatMap((part) => {
    const rows = Math.max(part.rows, part.live);
    const has = indexes.some((index) => index.table === part.name && (index.building || serves(index, needs)));
    const explained = indexes.some(
      (index) => index.table === part.name && faults.some(({ object }) => object === index.name),
    );
    const broken = indexes.some((index) => index.table === part.name && isVectorIndex(index) && !index.valid);
    if (has || explained || broken || rows < limits.rowsWithoutIndex) return [];
    return [
      finding(
        "index-missing",
        "warning",
        part.name,
        `${part.name} has ${countText(rows)} rows and no vector index that the store's searches can use, so each reads all rows of its tenant.`,
        createIndexSql(part.name, needs),
      ),
    ];
  });
}

function duplicates(indexes: readonly IndexFacts[]): DoctorFinding[] {
  const groups = new Map<string, IndexFacts[]>();
  for (const index of indexes.filter(({ valid, parent }) => valid && !parent)) {
    const key = `${index.table} ${index.definition}`;
    groups.set(key, [...(groups.get(key) ?? []), index]);
  }
  return [...groups.values()].flatMap((group) => {
    const [kept, ...others] = group.toSorted(
      (a, b) => Number(b.required) - Number(a.required) || Number(b.unique) - Number(a.unique) || b.scans - a.scans,
    );
    return others
      .filter(({ required }) => !required)
      .map(({ name, table, bytes }) =>
        fixable(
          "index-duplicate",
          "warning",
          name,
          `The index ${name} on ${table} (${bytesText(bytes)}) is the same as ${kept!.name}: each write pays for both.`,
          `drop index concurrently ${name};`,
        ),
      );
  });
}

function unused({ indexes, limits }: StoreSnapshot, faulty: ReadonlySet<string>): DoctorFinding[] {
  return indexes
    .filter(
      ({ valid, unique, required, parent, scans, name }) =>
        valid && !unique && !required && !parent && scans === 0 && !faulty.has(name),
    )
    .flatMap((index) => {
      const scans = indexes.filter(({ table }) => table === index.table).reduce((sum, other) => sum + other.scans, 0);
      if (scans < limits.unusedAfterScans || index.age < limits.unusedAfterScans) return [];
      return [
        finding(
          "index-unused",
          "warning",
          index.name,
          `The index ${index.name} (${bytesText(index.bytes)}) has served no statement, while other indexes of ${index.table} served ` +
            `${countText(scans)}. Standbys count for themselves.`,
          `drop index concurrently ${index.name};`,
        ),
      ];
    });
}

function tooLarge({ indexes, server }: StoreSnapshot): DoctorFinding[] {
  const cache = bytesOf(server, "effective_cache_size");
  return indexes
    .filter((index) => isVectorIndex(index) && index.bytes > cache)
    .map(({ name, bytes }) =>
      finding(
        "index-larger-than-memory",
        "warning",
        name,
        `The index ${name} has ${bytesText(bytes)}, more than the ${bytesText(cache)} that effective_cache_size says the machine caches: ` +
          "a search then waits for the disk at every step through the graph.",
        "-- if the machine has more memory, say so: alter system set effective_cache_size = '...';\nselect pg_reload_conf();\n" +
          '-- else halve the vectors (a store with storageType: "halfvec"), shorten them, or partition by tenant',
      ),
    );
}
