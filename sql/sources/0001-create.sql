-- What was ingested from where. A source without a hash is being written: its chunks are among those listed.
create table {{sources}} (
  tenant_id text not null check (tenant_id <> ''),
  collection text not null,
  source text not null check (source <> ''),
  version int8 not null,
  content_hash bytea,
  settings text not null,
  chunk_ids text[] not null,
  updated_at timestamptz not null default now(),
  primary key (tenant_id, collection, source)
);

-- Finds the chunks of a file that has another name now.
create index on {{sources}} (tenant_id, collection, content_hash);

-- Vectors by the text they are of, so that no text is embedded twice with one model.
create table {{vectorCache}} (
  tenant_id text not null check (tenant_id <> ''),
  model_version integer not null,
  text_hash bytea not null,
  embedding bytea not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, model_version, text_hash)
);
