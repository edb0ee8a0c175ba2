create table {{tenants}} (
  tenant_id text not null check (tenant_id <> ''),
  store text not null,
  state text not null default 'active' check (state in ('active', 'suspended', 'deleting')),
  created_at timestamptz not null default now(),
  model_version integer,
  primary key (tenant_id, store)
);

alter table {{tenants}} enable row level security;
alter table {{tenants}} force row level security;

create policy langchain_pgvector_tenant on {{tenants}}
  using (tenant_id = nullif(current_setting('app.current_tenant', true), ''))
  with check (tenant_id = nullif(current_setting('app.current_tenant', true), '') and state = 'active');

create policy langchain_pgvector_admin on {{tenants}} to current_user using (true) with check (true);
