import { quoteIdentifier, quoteQualified, shortenName } from "../db/identifiers.js";
import { ConfigurationError } from "../errors.js";
import type { LexicalSettings } from "./lexical.js";
import type { Migration } from "./migrations.generated.js";
import type { PromotedKey } from "./promoted-keys.js";

export const REVISIONS_TABLE = "langchain_pgvector_revisions";
export const MODELS_TABLE = "langchain_pgvector_models";
/** Which epoch of its models each store is in: it grows with everything that changes what reads and writes have to do. */
export const EPOCHS_TABLE = "langchain_pgvector_epochs";
/** Processes that have a store open while it changes its model. */
export const PROCESSES_TABLE = "langchain_pgvector_processes";
/** Raises SQLSTATE LP001 where two epochs differ. */
export const EPOCH_FENCE = "langchain_pgvector_epoch";
/** What was changed for the time of a bulk load and has to be restored after it. */
export const MAINTENANCE_TABLE = "langchain_pgvector_maintenance";
/** What recall probes have found, for indexes as a whole: it says nothing about any tenant. */
export const RECALL_TABLE = "langchain_pgvector_recall";
export const TENANTS_TABLE = "langchain_pgvector_tenants";

/** Columns that every table of chunks has under these names; the others are chosen in `columns`. */
export const FIXED_COLUMNS = {
  tenant: "tenant_id",
  collection: "collection",
  contentHash: "content_hash",
  createdAt: "created_at",
} as const;

/** The names that one store uses in the database. */
export interface Layout {
  /** `undefined`: wherever the search path finds the table, else the current schema. */
  readonly schema: string | undefined;
  readonly table: string;
  /** The table of collections, when the store has a collection. */
  readonly collectionsTable: string | undefined;
  /** Whether row-level security keeps tenants apart. */
  readonly tenancy: "off" | "rls";
  /** Whether a new table is partitioned by tenant; `undefined` takes whatever is there. */
  readonly partitions: "none" | "by-tenant" | undefined;
  /** Whether a new table keeps its vectors in the row instead of out of line. */
  readonly inlineVectors: boolean;
  /** The role that applications work as, and that gets rights on the tables; always there with tenancy. */
  readonly appRole: string | undefined;
  /** The lexical index that is asked for; one that is there is found and kept up whether or not it is. */
  readonly lexical: LexicalSettings | undefined;
  /** Where pgvector is to be created when the database does not have it yet. */
  readonly extensionSchema: string | undefined;
  readonly columns: {
    readonly id: string;
    readonly content: string;
    readonly metadata: string;
    readonly embedding: string;
  };
  /** Metadata keys that are to have a column; the table may have more of them. */
  readonly promotedKeys: readonly PromotedKey[];
}

/** `sparsevec` keeps only the values that are not zero. */
export type StorageType = "vector" | "halfvec" | "sparsevec";
/** How vectors are found beside their own index: `binary` by their signs, the best of which are compared exactly. */
export type Quantization = "none" | "binary";
export type Metric = "cosine" | "euclidean" | "innerProduct";

/** One embedding model whose vectors the store holds, and where. */
export interface ModelVersion {
  readonly version: number;
  readonly column: string;
  /** Such as `openai` or `offline`, when it is known. */
  readonly provider: string | undefined;
  /** Name of the model, when the embedder says it. */
  readonly model: string | undefined;
  readonly dimensions: number;
  readonly metric: Metric;
  readonly storageType: StorageType;
  /** @defaultValue `"none"` */
  readonly quantization?: Quantization;
  /** Binary form of the vector that the embedder gave for the probe text, when it was asked. */
  readonly probe?: Uint8Array | undefined;
}

/**
 * `building`: written to, and being filled. `ready`: complete and indexed. `active`: what searches use. `retiring`: still
 * written to, so that there is a way back. `dropped`: its column is going or gone.
 */
export type ModelState = "building" | "ready" | "active" | "retiring" | "dropped";

/** A model version as the registry keeps it. */
export interface RegisteredModel extends ModelVersion {
  readonly state: ModelState;
  readonly revision: string | undefined;
  /** Dimensions of the vectors that the model gives; more than `dimensions` where they are shortened to that. */
  readonly fullDimensions: number;
  readonly quantization: Quantization;
  /** Put in front of documents and of queries before they are embedded. */
  readonly documentPrefix: string;
  readonly queryPrefix: string;
  /** Whether the vectors are of unit length, when that was looked at. */
  readonly normalized: boolean | undefined;
  /** Names the model, its dimensions and its prefixes in `embedders`. */
  readonly fingerprint: string;
  /** The version from whose vectors this one's are made, without embedding. */
  readonly derivedFrom: number | undefined;
}

/** The table that keeps how far the bulk loads of a store have come. */
export function loadsTable({ table }: Pick<Layout, "table">): string {
  return shortenName(`${table}_loads`);
}

/** The table that keeps what was ingested from where, and the one of vectors by their text; they are made together. */
export function sourceTables({ table }: Pick<Layout, "table">): readonly [sources: string, vectorCache: string] {
  return [shortenName(`${table}_sources`), shortenName(`${table}_vector_cache`)];
}

/** The table that keeps the messages of the conversations about a store. */
export function messagesTable({ table }: Pick<Layout, "table">): string {
  return shortenName(`${table}_messages`);
}

/** The tables of a store's backfills: which pages are whose, and the rows that could not be embedded. */
export function backfillTables({ table }: Pick<Layout, "table">): readonly [ranges: string, setAside: string] {
  return [shortenName(`${table}_backfill`), shortenName(`${table}_set_aside`)];
}

/** @throws ConfigurationError when two columns share a name, or a name cannot be an identifier. */
export function checkLayout(layout: Layout): void {
  for (const name of [layout.table, layout.schema, layout.extensionSchema, layout.collectionsTable, layout.appRole]) {
    if (name !== undefined) quoteIdentifier(name);
  }
  const own = [loadsTable(layout), messagesTable(layout), ...sourceTables(layout), ...backfillTables(layout)];
  if (layout.collectionsTable !== undefined && own.includes(layout.collectionsTable)) {
    throw new ConfigurationError(
      `"collectionTableName" is ${JSON.stringify(layout.collectionsTable)}, the name of a table of the library's own.`,
    );
  }
  if (layout.collectionsTable === layout.table) {
    throw new ConfigurationError(`"tableName" and "collectionTableName" are both ${JSON.stringify(layout.table)}.`);
  }
  const seen = new Set<string>(Object.values(FIXED_COLUMNS));
  for (const [option, name] of Object.entries(layout.columns)) {
    quoteIdentifier(name);
    if (seen.has(name)) {
      throw new ConfigurationError(`columns: ${option} is ${JSON.stringify(name)}, which another column already has.`);
    }
    seen.add(name);
  }
  const taken = layout.promotedKeys.find(({ column }) => seen.has(column));
  if (taken !== undefined) {
    throw new ConfigurationError(
      `The column of the promoted key ${JSON.stringify(taken.key)} would be ${JSON.stringify(taken.column)}, which \`columns\` ` +
        "gives to another; change that name.",
    );
  }
}

/** The SQL of a migration with this store's identifiers in place of its `{{names}}`. */
export function render(template: string, names: Readonly<Record<string, string>>): string {
  return template.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = names[name];
    if (value === undefined) throw new ConfigurationError(`The migration asks for {{${name}}}, which has no value.`);
    return value;
  });
}

/** Quoted identifiers for every `{{name}}` that migrations may use. */
export function migrationNames(schema: string, layout: Layout): Record<string, string> {
  const [sources, vectorCache] = sourceTables(layout);
  return {
    chunks: quoteQualified(schema, layout.table),
    revisions: quoteQualified(schema, REVISIONS_TABLE),
    models: quoteQualified(schema, MODELS_TABLE),
    tenants: quoteQualified(schema, TENANTS_TABLE),
    maintenance: quoteQualified(schema, MAINTENANCE_TABLE),
    recall: quoteQualified(schema, RECALL_TABLE),
    backfill: quoteQualified(schema, backfillTables(layout)[0]),
    setAside: quoteQualified(schema, backfillTables(layout)[1]),
    epochs: quoteQualified(schema, EPOCHS_TABLE),
    processes: quoteQualified(schema, PROCESSES_TABLE),
    epochFence: quoteQualified(schema, EPOCH_FENCE),
    loads: quoteQualified(schema, loadsTable(layout)),
    sources: quoteQualified(schema, sources),
    vectorCache: quoteQualified(schema, vectorCache),
    messages: quoteQualified(schema, messagesTable(layout)),
    ...(layout.collectionsTable !== undefined && { collections: quoteQualified(schema, layout.collectionsTable) }),
    id: quoteIdentifier(layout.columns.id),
    content: quoteIdentifier(layout.columns.content),
    metadata: quoteIdentifier(layout.columns.metadata),
    embedding: quoteIdentifier(layout.columns.embedding),
  };
}

/** The newest revision in a list of migrations. */
export function newestRevision(migrations: readonly Migration[]): number {
  return migrations.at(-1)?.revision ?? 0;
}
