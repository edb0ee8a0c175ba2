// Generated from sql/ by scripts/generate-migrations.ts. Do not edit.
export interface Migration {
  readonly revision: number;
  /** Whether a library that does not know this revision must refuse to work on it. */
  readonly breaking: boolean;
  readonly name: string;
  /** The SQL, with {{names}} for the identifiers of one store. */
  readonly sql: string;
}

export const REGISTRY_SQL = "create table if not exists {{revisions}} (\n  relation text not null,\n  revision integer not null,\n  breaking boolean not null,\n  applied_at timestamptz not null default now(),\n  primary key (relation, revision)\n);\n\ncreate table if not exists {{models}} (\n  store text not null,\n  version integer not null,\n  column_name text not null,\n  provider text,\n  model text,\n  dimensions integer not null check (dimensions > 0),\n  metric text not null check (metric in ('cosine', 'euclidean', 'innerProduct')),\n  storage_type text not null check (storage_type in ('vector', 'halfvec')),\n  state text not null check (state in ('building', 'ready', 'active', 'retiring', 'dropped')),\n  created_at timestamptz not null default now(),\n  primary key (store, version)\n);\n\ncreate unique index if not exists langchain_pgvector_models_active on {{models}} (store) where state = 'active';\n";

export const CHUNKS_MIGRATIONS: readonly Migration[] = [
  { revision: 1, breaking: false, name: "0001-create", sql: "create table {{chunks}} (\n  tenant_id text not null check (tenant_id <> ''),\n  collection text not null,\n  {{id}} text not null check ({{id}} <> ''),\n  {{content}} text not null,\n  {{metadata}} jsonb not null default '{}' check (jsonb_typeof({{metadata}}) = 'object'),\n  content_hash bytea not null,\n  created_at timestamptz not null default now(),\n  {{embedding}} {{embeddingType}},\n  primary key (tenant_id, collection, {{id}})\n) with (fillfactor = 90);\n" },
];

export const COLLECTIONS_MIGRATIONS: readonly Migration[] = [
  { revision: 1, breaking: false, name: "0001-create", sql: "create table {{collections}} (\n  tenant_id text not null check (tenant_id <> ''),\n  name text not null,\n  uuid uuid not null default gen_random_uuid(),\n  cmetadata jsonb,\n  primary key (tenant_id, name)\n);\n" },
];
