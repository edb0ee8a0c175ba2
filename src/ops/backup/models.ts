import sql, { raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { qualified, quoteIdentifier } from "../../db/identifiers.js";
import { MODELS_TABLE, type Metric, type StorageType } from "../../schema/layout.js";
import type { BackupRelation } from "./relations.js";

/** A model version of a store, with how many chunks have its vector. */
export interface StoredModel {
  readonly store: string;
  readonly version: number;
  readonly column: string;
  readonly provider: string | null;
  readonly model: string | null;
  readonly dimensions: number;
  readonly metric: Metric;
  readonly storageType: StorageType;
  readonly state: string;
  readonly vectors: number;
}

/** The registry's model versions whose columns are there. Scans each store once for each version. */
export async function readModels(
  session: Session,
  schema: string,
  relations: readonly BackupRelation[],
): Promise<StoredModel[]> {
  const { rows } = await session.execute({
    name: "backup-models",
    sql: sql`
      select store, version, column_name as column, provider, model, dimensions, metric, storage_type as "storageType", state
      from ${qualified(schema, MODELS_TABLE)} order by store, version`,
  });
  const models: StoredModel[] = [];
  for (const row of rows as unknown as Omit<StoredModel, "vectors">[]) {
    const table = relations.find(({ name }) => name === row.store);
    if (!table?.columns.some(({ name }) => name === row.column)) continue;
    const { rows: counts } = await session.execute({
      name: "backup-vectors",
      sql: raw(`select count(${quoteIdentifier(row.column)})::float8 as vectors from ${table.quoted}`),
    });
    models.push({ ...row, vectors: counts[0]!["vectors"] as number });
  }
  return models;
}
