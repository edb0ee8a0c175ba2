alter table {{relation}} enable row level security;
alter table {{relation}} force row level security;

create policy langchain_pgvector_tenant on {{relation}}
  using (tenant_id = nullif(current_setting('app.current_tenant', true), ''))
  with check (tenant_id = nullif(current_setting('app.current_tenant', true), ''));

create policy langchain_pgvector_active on {{relation}} as restrictive
  using (not exists (
    select from {{tenants}} t
    where t.tenant_id = nullif(current_setting('app.current_tenant', true), '')
      and t.store = {{store}}
      and t.state <> 'active'
      and not (current_setting('app.tenant_administration', true) is not distinct from t.tenant_id
        and has_table_privilege(t.tableoid, 'update'))
  ));

comment on policy langchain_pgvector_active on {{relation}} is {{store}};
