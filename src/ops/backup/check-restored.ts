import { raw } from "sql-template-tag";
import type { Database, Session } from "../../db/database.js";
import { administrationSettings } from "../../db/tenant-scope.js";
import { SchemaDriftError } from "../../errors.js";
import { readCatalog, type CatalogFacts } from "./catalog.js";
import { checksumOf, textSettings } from "./checksum.js";
import type { DatabaseManifest } from "./manifest.js";
import { readStoredObjects, type StoredObjects } from "./relations.js";
import { idColumn, repeatSearch } from "./searches.js";

/**
 * Holds rows that are there against the manifest, table by table. Before row-level security is on, so that it sees them.
 *
 * @throws SchemaDriftError naming the tables that differ.
 */
export async function checkRows(
  database: Database,
  manifest: DatabaseManifest,
  signal: AbortSignal | undefined,
): Promise<void> {
  await database.transaction(
    {},
    async (session) => {
      const objects = await readStoredObjects(
        session,
        manifest.schema,
        manifest.relations.map(({ name }) => name),
      );
      await session.execute({ name: "backup-settings", sql: raw(textSettings(false)) });
      const wrong: string[] = [];
      for (const { name, content } of manifest.relations) {
        if (content === undefined) continue;
        const relation = objects.relations.find((one) => one.name === name);
        const found = relation && (await checksumOf(session, relation, !manifest.withoutEmbeddings));
        if (found?.rows !== content.rows)
          wrong.push(`${name} has ${found?.rows ?? "no"} rows instead of ${content.rows}`);
        else if (found.checksum !== content.checksum) wrong.push(`${name} has rows with other values`);
      }
      if (wrong.length > 0)
        throw new SchemaDriftError(`The restored rows are not those of the backup: ${wrong.join("; ")}.`);
    },
    signal,
  );
}

/**
 * Holds indexes, policies, triggers and row-level security against the manifest, and repeats its searches.
 *
 * @returns how many searches found the same rows.
 * @throws SchemaDriftError naming what differs.
 */
export async function checkStores(
  database: Database,
  manifest: DatabaseManifest,
  signal: AbortSignal | undefined,
): Promise<number> {
  const objects = await database.connection((session) => checkCatalog(session, manifest), signal);
  const vectorSchema = manifest.server.vector.schema;
  let same = 0;
  for (const sample of manifest.searches) {
    const relation = objects.relations.find(({ name }) => name === sample.store)!;
    const model = manifest.models.find(({ store, column }) => store === sample.store && column === sample.column)!;
    const repeated = await database.transaction(
      administrationSettings(sample.tenant),
      (session) => repeatSearch(session, manifest.schema, sample, idColumn(relation), model.metric, vectorSchema),
      signal,
    );
    if (repeated) same += 1;
  }
  if (same === manifest.searches.length) return same;
  throw new SchemaDriftError(
    `${manifest.searches.length - same} of ${manifest.searches.length} recorded searches find other rows than before the backup.`,
  );
}

async function checkCatalog(session: Session, manifest: DatabaseManifest): Promise<StoredObjects> {
  const objects = await readStoredObjects(session, manifest.schema);
  const catalog = await readCatalog(session, objects);
  const wrong = [
    ...differences("index", manifest.catalog.indexes, catalog.indexes),
    ...differences("policy", manifest.catalog.policies, catalog.policies),
    ...differences("trigger", manifest.catalog.triggers, catalog.triggers),
    ...manifest.relations
      .filter((relation) => {
        const found = objects.relations.find(({ name }) => name === relation.name);
        return found?.rowSecurity !== relation.rowSecurity || found.forced !== relation.forced;
      })
      .map(({ name }) => `row-level security of ${name}`),
  ];
  if (wrong.length === 0) return objects;
  throw new SchemaDriftError(
    `The restored stores are not those of the backup: ${wrong.join("; ")} differs or is missing.`,
  );
}

type Fact = CatalogFacts["indexes"][number] | CatalogFacts["policies"][number] | CatalogFacts["triggers"][number];

function differences(kind: string, wanted: readonly Fact[], found: readonly Fact[]): string[] {
  const present = new Set(found.map(canonical));
  return (
    wanted
      // An index that was invalid is built anew, and is none of the kind that was there.
      .filter((fact) => !("valid" in fact) || fact.valid)
      .filter((fact) => !present.has(canonical(fact)))
      .map((fact) => `${kind} ${"name" in fact ? `${fact.name} on ` : ""}${fact.table}`)
  );
}

function canonical(fact: Fact): string {
  return JSON.stringify(Object.entries(fact).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
