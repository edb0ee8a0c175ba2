import sql, { type Sql } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { qualified } from "../../db/identifiers.js";
import { IngestError } from "../../errors.js";
import { scope } from "../../store/open.js";
import { explainRefusal } from "../../store/tenants/refusal.js";
import type { OpenDestination } from "./destination.js";
import type { ResolvedImport } from "./options.js";
import type { SourceCollection } from "./source.js";

/**
 * Makes the staged rows of a collection visible, all of them in one transaction.
 *
 * @returns how many.
 * @throws IngestError when there are rows in their place and the options do not say what becomes of those.
 */
export async function publish(
  destination: OpenDestination,
  source: SourceCollection,
  options: ResolvedImport,
): Promise<number> {
  const { staged, visible } = destination;
  const move = async (session: Session): Promise<number> => {
    await makeRoom(session, destination, source, options);
    const { rowCount } = await session.execute({
      name: "import-publish",
      sql: sql`update ${staged.table} set collection = ${destination.collection}::text where ${scope(staged)}`,
    });
    await recordCollection(session, destination, source);
    return rowCount ?? 0;
  };
  const rows = await staged.database.transaction(staged.settings, move).catch(async (error: unknown) => {
    throw await explainRefusal(visible, error);
  });
  visible.memory.noteRows(visible.tenant, rows);
  visible.keeper.noteRows(visible, rows);
  // The pool may end with the import.
  await visible.keeper.idle();
  return rows;
}

async function makeRoom(
  session: Session,
  destination: OpenDestination,
  source: SourceCollection,
  options: ResolvedImport,
): Promise<void> {
  const { staged, visible } = destination;
  const { id } = visible.columns;
  const place = placeOf(destination, source, options);
  if (options.existing === "replace") {
    await session.execute({ name: "import-replace", sql: sql`delete from ${visible.table} where ${place}` });
  }
  const same = sql`${scope(visible)} and ${id} in (select ${id} from ${staged.table} where ${scope(staged)})`;
  if (options.existing === "merge") {
    await session.execute({ name: "import-merge", sql: sql`delete from ${visible.table} where ${same}` });
    return;
  }
  const find = async (name: string, condition: Sql): Promise<string | undefined> => {
    const statement = sql`select ${id} as id from ${visible.table} where ${condition} limit 1`;
    const { rows } = await session.execute({ name, sql: statement });
    return rows[0]?.["id"] as string | undefined;
  };
  if (options.existing === "fail" && (await find("import-existing", place)) !== undefined) throw occupied(source.name);
  // With the name in the metadata, collections share one space of ids.
  const taken = await find("import-conflict", same);
  if (taken === undefined) return;
  throw new IngestError(
    `The id ${JSON.stringify(taken)} of the collection ${JSON.stringify(source.name)} is taken by another collection. ` +
      'Nothing of it is visible. Import into: "collection", where each has its own ids, or set existing to "merge".',
  );
}

/** How many visible rows are where a collection is to go. */
export async function countExisting(
  destination: OpenDestination,
  source: SourceCollection,
  options: ResolvedImport,
): Promise<number> {
  const { visible } = destination;
  const { rows } = await visible.database.execute(
    {
      name: "import-count-existing",
      sql: sql`select count(*)::float8 as rows from ${visible.table} where ${placeOf(destination, source, options)}`,
    },
    { settings: visible.settings },
  );
  return rows[0]!["rows"] as number;
}

export function occupied(name: string): IngestError {
  return new IngestError(
    `There are rows where the collection ${JSON.stringify(name)} is to go, and nothing of it was made visible. Set ` +
      'existing to "replace" to put it in their place, to "merge" to keep those whose ids it does not have, or import ' +
      "it elsewhere.",
  );
}

/** The rows that a collection would stand beside. */
function placeOf({ visible }: OpenDestination, { name }: SourceCollection, options: ResolvedImport): Sql {
  if (options.into !== "metadata") return scope(visible);
  const label = JSON.stringify({ [options.collectionKey]: name });
  return sql`${scope(visible)} and ${visible.columns.metadata} @> ${label}::text::jsonb`;
}

/** Keeps the metadata of the collection, where the store has collections. */
async function recordCollection(
  session: Session,
  { visible }: OpenDestination,
  { metadata }: SourceCollection,
): Promise<void> {
  const { collectionsTable } = visible.options.layout;
  if (collectionsTable === undefined) return;
  await session.execute({
    name: "import-collection",
    sql: sql`
      insert into ${qualified(visible.schema, collectionsTable)} (tenant_id, name, cmetadata)
      values (${visible.tenant}::text, ${visible.options.collection}::text, ${JSON.stringify(metadata)}::jsonb)
      on conflict (tenant_id, name) do update set cmetadata = excluded.cmetadata`,
  });
}
