import { Database } from "../../db/database.js";
import { ConfigurationError, DimensionMismatchError } from "../../errors.js";
import { resolvePool } from "../../store/options.js";
import { findVacuumable, vacuumRelations } from "../../store/vacuum.js";
import { copyCollection } from "./copy.js";
import { destinationOf, openDestination, type Destination, type OpenDestination } from "./destination.js";
import { resolveImport, type ImportArgs, type ImportProgress, type ResolvedImport } from "./options.js";
import { Findings } from "./prepare.js";
import { countExisting, occupied, publish } from "./publish.js";
import type { RecordSource, SourceCollection } from "./source.js";
import { verifyCollection, type Verification } from "./verify.js";

/** What became of one collection. */
export interface ImportedCollection {
  readonly name: string;
  /** Table, tenant and collection under which a store finds it. */
  readonly table: string;
  readonly tenant: string;
  readonly collection: string;
  readonly metric: string;
  readonly dimensions: number;
  readonly records: number;
  /** Records that an interrupted run had copied already. */
  readonly resumed: number;
  readonly skipped: number;
  /** The first hundred of those. */
  readonly firstSkipped: readonly { readonly id: string; readonly reason: string }[];
  /** Documents that lost NUL characters, which Postgres cannot store. */
  readonly nulRemoved: number;
  /** Metadata numbers beyond 2^53, whose last digits JavaScript does not keep. */
  readonly unsafeIntegers: number;
  /** Absent when it was turned off. */
  readonly verification?: Verification;
  readonly seconds: number;
  /** Of those, waiting for the source. */
  readonly readSeconds: number;
}

export interface ImportReport {
  /** The source, without credentials. */
  readonly source: string;
  readonly collections: readonly ImportedCollection[];
  /** Collections of the source that hold nothing, and have no vectors to make a table for. */
  readonly empty: readonly string[];
  readonly warnings: readonly string[];
}

/** A collection, and where it is to go. */
export interface Assignment {
  readonly source: SourceCollection;
  readonly destination: Destination;
}

/**
 * Copies collections from a source, one after the other. Records are staged where no store sees them, compared with the
 * source, and then made visible in one transaction for each collection; so whatever stops an import, a collection is
 * there in full or not at all. The next call with the same arguments goes on with what has been staged.
 */
export async function importRecords(source: RecordSource, args: ImportArgs): Promise<ImportReport> {
  const options = resolveImport(args);
  const { pool, owned } = resolvePool(args);
  const database = new Database(pool);
  try {
    const { assignments, empty } = await assign(source, options);
    const warnings: string[] = [];
    const collections: ImportedCollection[] = [];
    for (const assignment of assignments) {
      collections.push(await importCollection(database, assignment, options, warnings));
    }
    return { source: source.label, collections, empty, warnings };
  } finally {
    if (owned) await database.end();
  }
}

/** Finds the collections and checks that each has a place of its own. Reads the source only. */
export async function assign(
  source: RecordSource,
  options: ResolvedImport,
): Promise<{ assignments: Assignment[]; empty: string[] }> {
  const found = await source.collections(options.args.collections);
  const empty = found.filter(({ dimensions }) => dimensions === undefined).map(({ name }) => name);
  const assignments = found
    .filter(({ dimensions }) => dimensions !== undefined)
    .map((collection) => ({ source: collection, destination: destinationOf(collection, options, source.label) }));
  if (found.length === 0) throw new ConfigurationError(`${source.label} has no collections.`);
  checkDimensions(assignments);
  return { assignments, empty };
}

/** @throws DimensionMismatchError when collections of two models are to share a table. */
function checkDimensions(assignments: readonly Assignment[]): void {
  const first = new Map<string, SourceCollection>();
  for (const { source, destination } of assignments) {
    const { table } = destination.options.layout;
    const other = first.get(table) ?? source;
    first.set(table, other);
    if (other.dimensions === source.dimensions) continue;
    throw new DimensionMismatchError(
      `The collections ${JSON.stringify(other.name)} (${other.dimensions} dimensions) and ${JSON.stringify(source.name)} ` +
        `(${source.dimensions}) cannot share the table ${JSON.stringify(table)}. Import them one by one with a tableName ` +
        'each, or into: "table".',
      other.dimensions!,
      source.dimensions!,
    );
  }
}

async function importCollection(
  database: Database,
  { source, destination }: Assignment,
  options: ResolvedImport,
  warnings: string[],
): Promise<ImportedCollection> {
  const { signal, onProgress } = options.args;
  signal?.throwIfAborted();
  const started = performance.now();
  const open = await openDestination(database, destination, source, options);
  if (options.existing === "fail" && (await countExisting(open, source, options)) > 0) throw occupied(source.name);
  const total = await source.count();
  const progress = (phase: ImportProgress["phase"], done: number): void =>
    onProgress?.({ collection: source.name, phase, done, total });
  const findings = new Findings();
  const { resumed, readSeconds } = await copyCollection(source, open.staged, options, findings, (done) =>
    progress("copy", done),
  );
  const verification =
    options.args.verify === false
      ? undefined
      : await verifyCollection(source, open.staged, options, (done) => progress("verify", done));
  signal?.throwIfAborted();
  const records = await publish(open, source, options);
  progress("publish", records);
  await settle(open, options, warnings);
  warnings.push(...noticed(source, open, verification));
  const { layout } = open.options;
  return {
    name: source.name,
    table: layout.table,
    tenant: open.tenant,
    collection: open.collection,
    metric: source.metric,
    dimensions: open.staged.model.dimensions,
    records,
    resumed,
    skipped: findings.skipped,
    firstSkipped: findings.firstSkipped,
    nulRemoved: findings.nulRemoved,
    unsafeIntegers: findings.unsafeIntegers,
    ...(verification !== undefined && { verification }),
    seconds: (performance.now() - started) / 1_000,
    readSeconds,
  };
}

/** Publishing leaves as many dead rows as live ones, and statistics that know neither. */
async function settle(open: OpenDestination, options: ResolvedImport, warnings: string[]): Promise<void> {
  const { visible } = open;
  const tables = await visible.database.connection((session) =>
    findVacuumable(session, visible.schema, visible.options.layout.table),
  );
  const skipped = await vacuumRelations(visible, tables, options.args.signal);
  for (const table of skipped) {
    warnings.push(`This role may not vacuum ${JSON.stringify(table)}; autovacuum comes to it later.`);
  }
}

function noticed(source: SourceCollection, open: OpenDestination, verification: Verification | undefined): string[] {
  const { model } = open.visible;
  const name = JSON.stringify(source.name);
  return [
    ...(model.metric === source.metric
      ? []
      : [
          `${name} is compared by ${source.metric} distance and its table was made for ${model.metric}: searches are right, ` +
            "but a vector index on the table serves one of the two.",
        ]),
    ...(verification?.overlap !== undefined && verification.overlap < 0.9
      ? [
          `${name}: sampled searches share ${(verification.overlap * 100).toFixed(0)} % of their results with the source.`,
        ]
      : []),
  ];
}
