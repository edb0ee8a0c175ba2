-- Extensions, in the first schema of the search path. Safe to run again.
create extension if not exists vector;

-- Statement statistics are used when they are there; nothing depends on them.
do $$
begin
  if exists (select from pg_catalog.pg_available_extensions where name = 'pg_stat_statements') then
    create extension if not exists pg_stat_statements;
  end if;
end
$$;
