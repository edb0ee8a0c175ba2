// Generated from sql/ by scripts/generate-migrations.ts. Do not edit.
export interface Migration {
  readonly revision: number;
  /** Whether a library that does not know this revision must refuse to work on it. */
  readonly breaking: boolean;
  readonly name: string;
  /** The SQL, with {{names}} for the identifiers of one store. */
  readonly sql: string;
}

export const REGISTRY_SQL = "create table if not exists {{revisions}} (\n  relation text not null,\n  revision integer not null,\n  breaking boolean not null,\n  applied_at timestamptz not null default now(),\n  primary key (relation, revision)\n);\n\ncreate table if not exists {{models}} (\n  store text not null,\n  version integer not null,\n  column_name text not null,\n  provider text,\n  model text,\n  dimensions integer not null check (dimensions > 0),\n  metric text not null check (metric in ('cosine', 'euclidean', 'innerProduct')),\n  storage_type text not null check (storage_type in ('vector', 'halfvec')),\n  state text not null check (state in ('building', 'ready', 'active', 'retiring', 'dropped')),\n  created_at timestamptz not null default now(),\n  primary key (store, version)\n);\n\ncreate unique index if not exists langchain_pgvector_models_active on {{models}} (store) where state = 'active';\n\ncreate table if not exists {{maintenance}} (\n  store text not null,\n  kind text not null check (kind in ('index', 'autovacuum')),\n  name text not null,\n  definition text not null,\n  touched_at timestamptz not null default now(),\n  primary key (store, kind, name)\n);\n";

/** Turns row-level security on for one table that has a tenant_id. */
export const TENANCY_SQL = "alter table {{relation}} enable row level security;\nalter table {{relation}} force row level security;\n\ncreate policy langchain_pgvector_tenant on {{relation}}\n  using (tenant_id = nullif(current_setting('app.current_tenant', true), ''))\n  with check (tenant_id = nullif(current_setting('app.current_tenant', true), ''));\n\ncreate policy langchain_pgvector_active on {{relation}} as restrictive\n  using (not exists (\n    select from {{tenants}} t\n    where t.tenant_id = nullif(current_setting('app.current_tenant', true), '')\n      and t.store = {{store}}\n      and t.state <> 'active'\n      and not (current_setting('app.tenant_administration', true) is not distinct from t.tenant_id\n        and has_table_privilege(t.tableoid, 'update'))\n  ));\n\ncomment on policy langchain_pgvector_active on {{relation}} is {{store}};\n";

export const CHUNKS_MIGRATIONS: readonly Migration[] = [
  { revision: 1, breaking: false, name: "0001-create", sql: "create table {{chunks}} (\n  tenant_id text not null check (tenant_id <> ''),\n  collection text not null,\n  {{id}} text not null check ({{id}} <> ''),\n  {{content}} text not null,\n  {{metadata}} jsonb not null default '{}' check (jsonb_typeof({{metadata}}) = 'object'),\n  content_hash bytea not null,\n  created_at timestamptz not null default now(),\n  {{embedding}} {{embeddingType}},\n  primary key (tenant_id, collection, {{id}})\n) {{storage}};\n" },
];

export const COLLECTIONS_MIGRATIONS: readonly Migration[] = [
  { revision: 1, breaking: false, name: "0001-create", sql: "create table {{collections}} (\n  tenant_id text not null check (tenant_id <> ''),\n  name text not null,\n  uuid uuid not null default gen_random_uuid(),\n  cmetadata jsonb,\n  primary key (tenant_id, name)\n);\n" },
];

export const LOADS_MIGRATIONS: readonly Migration[] = [
  { revision: 1, breaking: false, name: "0001-create", sql: "create table {{loads}} (\n  tenant_id text not null check (tenant_id <> ''),\n  collection text not null,\n  name text not null,\n  rows_done bigint not null check (rows_done >= 0),\n  last_row bytea,\n  updated_at timestamptz not null default now(),\n  primary key (tenant_id, collection, name)\n);\n" },
];

export const TENANTS_MIGRATIONS: readonly Migration[] = [
  { revision: 1, breaking: false, name: "0001-create", sql: "create table {{tenants}} (\n  tenant_id text not null check (tenant_id <> ''),\n  store text not null,\n  state text not null default 'active' check (state in ('active', 'suspended', 'deleting')),\n  created_at timestamptz not null default now(),\n  primary key (tenant_id, store)\n);\n\nalter table {{tenants}} enable row level security;\nalter table {{tenants}} force row level security;\n\ncreate policy langchain_pgvector_tenant on {{tenants}}\n  using (tenant_id = nullif(current_setting('app.current_tenant', true), ''))\n  with check (tenant_id = nullif(current_setting('app.current_tenant', true), '') and state = 'active');\n\ncreate policy langchain_pgvector_admin on {{tenants}} to current_user using (true) with check (true);\n" },
];
