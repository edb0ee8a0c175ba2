import { ConfigurationError } from "../../errors.js";
import { integer, type PostgresVectorStoreArgs } from "../../store/options.js";

/** What becomes of the name of a collection: see {@link ImportArgs.into}. */
export type ImportInto = "collection" | "table" | "tenant" | "metadata";

/** How far an import is. */
export interface ImportProgress {
  readonly collection: string;
  readonly phase: "copy" | "verify" | "publish";
  /** Records of this collection that are through the phase, those of an interrupted run included. */
  readonly done: number;
  /** `undefined` when only reading tells. */
  readonly total: number | undefined;
}

/** Where the records go and how; the database and its tables as for a store. */
export interface ImportArgs extends Omit<
  PostgresVectorStoreArgs,
  "filter" | "collectionName" | "collectionMetadata" | "distanceStrategy" | "dimensions" | "scoreNormalization" | "ids"
> {
  /** @defaultValue all of the source's */
  collections?: readonly string[];
  /**
   * `"collection"`: all into one table, each under its name as `collectionName`. `"table"`: a table for each; `tableName`
   * has `{collection}` in it. `"tenant"`: one table with row-level security, each as a tenant. `"metadata"`: one table
   * without collections, the name in the metadata under `collectionKey`.
   * @defaultValue `"collection"`
   */
  into?: ImportInto;
  /** With `into: "metadata"`. @defaultValue `"collection"` */
  collectionKey?: string;
  /** Metadata key for the URIs of records that have one. @defaultValue `"uri"` */
  uriKey?: string;
  /**
   * When there are rows where a collection is to go: `"fail"`; `"merge"`, in which records replace rows of their ids; or
   * `"replace"`, which removes the rows that are there.
   * @defaultValue `"fail"`
   */
  existing?: "fail" | "merge" | "replace";
  /** Records without a document: `"fail"`, store them with an empty text, or `"skip"` them. @defaultValue `"fail"` */
  missingDocuments?: "fail" | "empty" | "skip";
  /** Records that cannot be stored: `"fail"`, or `"skip"` and report them. @defaultValue `"fail"` */
  rejected?: "fail" | "skip";
  /** Provider of the embedding model, such as `openai`, when the source does not say. */
  embeddingProvider?: string;
  /** Records read and stored at a time. @defaultValue 500 */
  pageRows?: number;
  /** Whether every record is read again and compared before it becomes visible. @defaultValue true */
  verify?: boolean;
  /** Searches that are compared with the source's own, where it can search. @defaultValue 20 */
  sampleQueries?: number;
  /** Forgets what an interrupted run of the same import has copied. @defaultValue false */
  restart?: boolean;
  onProgress?: (progress: ImportProgress) => void;
  signal?: AbortSignal;
}

/** {@link ImportArgs} with every choice made. */
export interface ResolvedImport {
  readonly args: ImportArgs;
  readonly into: ImportInto;
  readonly collectionKey: string;
  readonly uriKey: string;
  readonly existing: "fail" | "merge" | "replace";
  readonly missingDocuments: "fail" | "empty" | "skip";
  readonly rejected: "fail" | "skip";
  readonly pageRows: number;
  readonly sampleQueries: number;
}

/** @throws ConfigurationError naming the option. No I/O. */
export function resolveImport(args: ImportArgs): ResolvedImport {
  const into = choice("into", args.into, ["collection", "table", "tenant", "metadata"]);
  if (into === "table" && args.tableName !== undefined && !args.tableName.includes("{collection}")) {
    throw new ConfigurationError(
      `With into: "table" the tableName ${JSON.stringify(args.tableName)} needs {collection} in it, or be left out.`,
    );
  }
  if (into === "tenant" && (args.tenancy === "off" || args.tenantId !== undefined)) {
    throw new ConfigurationError(
      'into: "tenant" turns tenancy on and names the tenants; leave tenancy and tenantId out.',
    );
  }
  if (args.collections !== undefined && new Set(args.collections).size !== args.collections.length) {
    throw new ConfigurationError(`collections names one twice: ${args.collections.join(", ")}.`);
  }
  return {
    args,
    into,
    collectionKey: filled("collectionKey", args.collectionKey ?? "collection"),
    uriKey: filled("uriKey", args.uriKey ?? "uri"),
    existing: choice("existing", args.existing, ["fail", "merge", "replace"]),
    missingDocuments: choice("missingDocuments", args.missingDocuments, ["fail", "empty", "skip"]),
    rejected: choice("rejected", args.rejected, ["fail", "skip"]),
    pageRows: integer("pageRows", args.pageRows, 1, 10_000) ?? 500,
    sampleQueries: integer("sampleQueries", args.sampleQueries, 0, 1_000) ?? 20,
  };
}

/** The first of the known values is the default. */
function choice<const T extends string>(name: string, value: T | undefined, known: readonly T[]): T {
  const chosen = value ?? known[0]!;
  if (known.includes(chosen)) return chosen;
  throw new ConfigurationError(
    `${name} ${JSON.stringify(value)} is unknown; use ${known.map((option) => `"${option}"`).join(", ")}.`,
  );
}

function filled(name: string, value: string): string {
  if (typeof value === "string" && value !== "" && !value.includes("\0")) return value;
  throw new ConfigurationError(`${name} must be a non-empty string, got ${JSON.stringify(value)}.`);
}
