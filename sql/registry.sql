create table if not exists {{revisions}} (
  relation text not null,
  revision integer not null,
  breaking boolean not null,
  applied_at timestamptz not null default now(),
  primary key (relation, revision)
);

create table if not exists {{models}} (
  store text not null,
  version integer not null,
  column_name text not null,
  provider text,
  model text,
  revision text,
  dimensions integer not null check (dimensions > 0),
  full_dimensions integer not null check (full_dimensions >= dimensions),
  metric text not null check (metric in ('cosine', 'euclidean', 'innerProduct')),
  storage_type text not null check (storage_type in ('vector', 'halfvec', 'sparsevec')),
  quantization text not null default 'none' check (quantization in ('none', 'binary')),
  document_prefix text not null default '',
  query_prefix text not null default '',
  normalized boolean,
  fingerprint text not null,
  probe bytea,
  derived_from integer,
  comparison jsonb,
  state text not null check (state in ('building', 'ready', 'active', 'retiring', 'dropped')),
  created_at timestamptz not null default now(),
  primary key (store, version)
);

create unique index if not exists langchain_pgvector_models_active on {{models}} (store) where state = 'active';

create table if not exists {{epochs}} (
  store text primary key,
  epoch bigint not null,
  overrides boolean not null default false
);

create table if not exists {{processes}} (
  store text not null,
  process uuid not null,
  label text not null,
  fingerprints text[] not null,
  seen_at timestamptz not null default now(),
  primary key (store, process)
);

create or replace function {{epochFence}}(actual bigint, expected bigint) returns boolean
language plpgsql stable as $$
begin
  if actual = expected then
    return true;
  end if;
  raise exception using errcode = 'LP001',
    message = format('the embedding models of the store have changed (epoch %s, not %s)', actual, expected),
    hint = 'Nothing was read or written; run it again.';
end
$$;

create table if not exists {{maintenance}} (
  store text not null,
  kind text not null check (kind in ('index', 'autovacuum')),
  name text not null,
  definition text not null,
  note text,
  touched_at timestamptz not null default now(),
  primary key (store, kind, name)
);

create table if not exists {{recall}} (
  store text not null,
  index_name text not null,
  measured_at timestamptz not null default clock_timestamp(),
  setting text not null,
  k integer not null,
  queries integer not null,
  recall double precision not null,
  milliseconds double precision not null,
  entries bigint not null,
  primary key (store, index_name, measured_at)
);
