import type { Database } from "../../db/database.js";
import { applySteps } from "../../schema/apply.js";
import type { StoredObjects } from "./relations.js";

type Dropped = {
  readonly relations: readonly { readonly quoted: string; readonly parent: string | null }[];
  readonly sequences: StoredObjects["sequences"];
  readonly functions: StoredObjects["functions"];
};

/** Drops all of the library's objects, in one transaction. What others have built on them makes it fail. */
export async function dropStores(database: Database, objects: Dropped): Promise<void> {
  const byKind = (kind: string): string[] =>
    objects.functions.filter((one) => one.kind === kind).map(({ signature }) => signature);
  // Partitions go with their table. Aggregates use functions.
  const tables = objects.relations.filter(({ parent }) => parent === null).map(({ quoted }) => quoted);
  const sql =
    drop(tables, "table") +
    drop(byKind("a"), "aggregate") +
    drop(byKind("f"), "function") +
    drop(byKind("p"), "procedure") +
    drop(
      objects.sequences.map(({ quoted }) => quoted),
      "sequence",
    );
  await applySteps(database, [{ name: "drop-stores", sql }]);
}

function drop(names: readonly string[], kind: string): string {
  return names.length === 0 ? "" : `drop ${kind} if exists ${names.join(", ")};\n`;
}
