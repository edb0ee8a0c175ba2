create table {{loads}} (
  tenant_id text not null check (tenant_id <> ''),
  collection text not null,
  name text not null,
  rows_done bigint not null check (rows_done >= 0),
  last_row bytea,
  updated_at timestamptz not null default now(),
  primary key (tenant_id, collection, name)
);
