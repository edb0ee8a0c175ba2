import { Database } from "../../db/database.js";
import { LangChainPgvectorError } from "../../errors.js";
import { inspectSchema } from "../../schema/inspect.js";
import { resolvePool } from "../../store/options.js";
import { openDestination } from "./destination.js";
import { assign, type Assignment } from "./import.js";
import { resolveImport, type ImportArgs, type ResolvedImport } from "./options.js";
import { countExisting } from "./publish.js";
import type { RecordSource } from "./source.js";
import { countRows } from "./stage.js";

/** What an import would do with one collection. */
export interface PlannedCollection {
  readonly name: string;
  /** `undefined` when only reading tells. */
  readonly records: number | undefined;
  readonly dimensions: number;
  readonly metric: string;
  readonly provider: string | undefined;
  readonly model: string | undefined;
  readonly table: string;
  readonly tenant: string;
  readonly collection: string;
  /** Whether the table is there already. */
  readonly tableExists: boolean;
  /** Rows that are where the collection is to go. */
  readonly existing: number;
  /** Records that an interrupted run has copied. */
  readonly staged: number;
  /** Why the import would be refused; empty when it would not. */
  readonly problems: readonly string[];
}

export interface ImportPlan {
  readonly source: string;
  readonly collections: readonly PlannedCollection[];
  readonly empty: readonly string[];
}

/** What an import would do; changes nothing. @throws as the import for options that cannot work. */
export async function planRecords(source: RecordSource, args: ImportArgs): Promise<ImportPlan> {
  const options = resolveImport(args);
  const { pool, owned } = resolvePool(args);
  const database = new Database(pool);
  try {
    const { assignments, empty } = await assign(source, options);
    const collections: PlannedCollection[] = [];
    for (const assignment of assignments) collections.push(await planCollection(database, assignment, options));
    return { source: source.label, collections, empty };
  } finally {
    if (owned) await database.end();
  }
}

async function planCollection(
  database: Database,
  { source, destination }: Assignment,
  options: ResolvedImport,
): Promise<PlannedCollection> {
  const { layout } = destination.options;
  const state = await database.connection((session) => inspectSchema(session, layout));
  const tableExists = state.chunks.exists;
  const found = tableExists
    ? await existingRows(database, { source, destination }, options)
    : { existing: 0, staged: 0, problems: [] };
  return {
    name: source.name,
    records: await source.count(),
    dimensions: source.dimensions!,
    metric: source.metric,
    provider: options.args.embeddingProvider ?? source.provider,
    model: destination.options.embeddingModel,
    table: layout.table,
    tenant: destination.tenant,
    collection: destination.collection,
    tableExists,
    ...found,
  };
}

async function existingRows(
  database: Database,
  { source, destination }: Assignment,
  options: ResolvedImport,
): Promise<Pick<PlannedCollection, "existing" | "staged" | "problems">> {
  try {
    const readOnly = { ...destination, options: { ...destination.options, skipInitializationCheck: true } };
    const open = await openDestination(database, readOnly, source, options);
    const existing = await countExisting(open, source, options);
    const problems =
      existing > 0 && options.existing === "fail"
        ? [`${existing} rows are there; say with existing what becomes of them`]
        : [];
    return { existing, staged: await countRows(open.staged), problems };
  } catch (error) {
    if (!(error instanceof LangChainPgvectorError)) throw error;
    return { existing: 0, staged: 0, problems: [error.message] };
  }
}
