import sql, { type Sql } from "sql-template-tag";
import { qualified } from "../db/identifiers.js";
import { EPOCHS_TABLE, MODELS_TABLE, type RegisteredModel } from "./layout.js";

/** The model versions of a store, and the epoch that they belong to. */
export interface StoredModels {
  /** Those that have a column, the oldest first. */
  readonly models: readonly RegisteredModel[];
  readonly epoch: number;
  /** Whether some tenants read another version than the active one. */
  readonly overrides: boolean;
}

/** The model versions of a store as one JSON value, for {@link toStoredModels}. */
export function modelsJson(schema: string, store: string): Sql {
  return sql`jsonb_build_object(
    'epoch', (select e.epoch from ${qualified(schema, EPOCHS_TABLE)} e where e.store = ${store}::text),
    'overrides', (select e.overrides from ${qualified(schema, EPOCHS_TABLE)} e where e.store = ${store}::text),
    'models', (
      select coalesce(jsonb_agg(to_jsonb(m) order by m.version), '[]') from ${qualified(schema, MODELS_TABLE)} m
      where m.store = ${store}::text and m.state <> 'dropped'
    ))`;
}

interface ModelRow {
  version: number;
  column_name: string;
  provider: string | null;
  model: string | null;
  revision: string | null;
  dimensions: number;
  full_dimensions: number;
  metric: RegisteredModel["metric"];
  storage_type: RegisteredModel["storageType"];
  quantization: RegisteredModel["quantization"];
  document_prefix: string;
  query_prefix: string;
  normalized: boolean | null;
  fingerprint: string;
  probe: string | null;
  derived_from: number | null;
  state: RegisteredModel["state"];
}

export function toStoredModels(json: unknown): StoredModels {
  const found = json as { epoch: number | null; overrides: boolean | null; models: ModelRow[] };
  return { epoch: found.epoch ?? 0, overrides: found.overrides ?? false, models: found.models.map(toModel) };
}

function toModel(row: ModelRow): RegisteredModel {
  return {
    version: row.version,
    column: row.column_name,
    provider: row.provider ?? undefined,
    model: row.model ?? undefined,
    revision: row.revision ?? undefined,
    dimensions: row.dimensions,
    fullDimensions: row.full_dimensions,
    metric: row.metric,
    storageType: row.storage_type,
    quantization: row.quantization,
    documentPrefix: row.document_prefix,
    queryPrefix: row.query_prefix,
    normalized: row.normalized ?? undefined,
    fingerprint: row.fingerprint,
    // As JSON writes bytea: \x and hexadecimal digits.
    probe: row.probe === null ? undefined : new Uint8Array(Buffer.from(row.probe.slice(2), "hex")),
    derivedFrom: row.derived_from ?? undefined,
    state: row.state,
  };
}
