-- Roles of the cluster. Safe to run again, also by several sessions at the same time.
--   langchain_pgvector_owner  owns the tables and changes the schema (ingest jobs, `init`, `models`, `indexes`)
--   langchain_pgvector_app    what the application works as; row-level security binds it
--   rag_app                   the application's login; it has no password until you give it one
do $$
declare
  wanted record;
begin
  for wanted in
    select *
    from (values
      ('langchain_pgvector_owner', 'nologin'),
      ('langchain_pgvector_app', 'nologin'),
      ('rag_app', 'login')
    ) as roles (name, login)
  loop
    if not exists (select from pg_catalog.pg_roles where rolname = wanted.name) then
      begin
        execute format('create role %I %s nocreatedb nocreaterole', wanted.name, wanted.login);
      exception
        when duplicate_object or unique_violation then null;
      end;
    end if;
  end loop;

  -- A role that row-level security does not bind would make tenancy a promise on paper.
  if exists (
    select from pg_catalog.pg_roles
    where rolname in ('langchain_pgvector_owner', 'langchain_pgvector_app', 'rag_app')
      and (rolsuper or rolbypassrls)
  ) then
    raise exception 'langchain_pgvector_owner, langchain_pgvector_app and rag_app must be neither superuser nor bypassrls';
  end if;

  if not pg_catalog.pg_has_role('rag_app', 'langchain_pgvector_app', 'member') then
    begin
      grant langchain_pgvector_app to rag_app;
    exception
      when unique_violation then null;
    end;
  end if;
end
$$;
