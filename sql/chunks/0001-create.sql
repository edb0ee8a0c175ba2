create table {{chunks}} (
  tenant_id text not null check (tenant_id <> ''),
  collection text not null,
  {{id}} text not null check ({{id}} <> ''),
  {{content}} text not null,
  {{metadata}} jsonb not null default '{}' check (jsonb_typeof({{metadata}}) = 'object'),
  content_hash bytea not null,
  created_at timestamptz not null default now(),
  {{embedding}} {{embeddingType}},
  primary key (tenant_id, collection, {{id}})
) {{storage}};
