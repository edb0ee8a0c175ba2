-- Least privilege in this database. Safe to run again; database privileges are not copied from a template.
do $$
begin
  execute format('revoke all on database %I from public', current_database());
  execute format('grant connect, create, temporary on database %I to langchain_pgvector_owner', current_database());
  -- Temporary tables are the staging area of bulk loads; without the privilege they take a slower way.
  execute format('grant connect, temporary on database %I to langchain_pgvector_app', current_database());
end
$$;

revoke create on schema public from public;
grant usage, create on schema public to langchain_pgvector_owner;
grant usage on schema public to langchain_pgvector_app;
