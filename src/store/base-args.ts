import type pg from "pg";
import type { PGVectorStoreArgs } from "./base-class.js";
import type { PostgresVectorStoreArgs, ResolvedOptions } from "./options.js";
import type { StorePool } from "./store-pool.js";

/** What the base class is given: the narrow pool in the place of a real one, and never a password. */
export function baseArgs(
  args: PostgresVectorStoreArgs,
  options: ResolvedOptions,
  storePool: StorePool,
): PGVectorStoreArgs {
  const { layout } = options;
  return {
    pool: storePool as unknown as pg.Pool,
    tableName: layout.table,
    ...(layout.collectionsTable !== undefined && {
      collectionTableName: layout.collectionsTable,
      collectionName: options.collection,
    }),
    collectionMetadata: options.collectionMetadata,
    schemaName: layout.schema ?? null,
    extensionSchemaName: layout.extensionSchema ?? null,
    skipInitializationCheck: options.skipInitializationCheck,
    columns: {
      idColumnName: layout.columns.id,
      vectorColumnName: layout.columns.embedding,
      contentColumnName: layout.columns.content,
      metadataColumnName: layout.columns.metadata,
    },
    ...(args.verbose !== undefined && { verbose: args.verbose }),
    chunkSize: options.chunkSize,
    distanceStrategy: options.metric,
    scoreNormalization: options.scoreNormalization,
  };
}
