create table {{collections}} (
  tenant_id text not null check (tenant_id <> ''),
  name text not null,
  uuid uuid not null default gen_random_uuid(),
  cmetadata jsonb,
  primary key (tenant_id, name)
);
