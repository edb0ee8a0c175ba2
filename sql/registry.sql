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
  dimensions integer not null check (dimensions > 0),
  metric text not null check (metric in ('cosine', 'euclidean', 'innerProduct')),
  storage_type text not null check (storage_type in ('vector', 'halfvec')),
  state text not null check (state in ('building', 'ready', 'active', 'retiring', 'dropped')),
  created_at timestamptz not null default now(),
  primary key (store, version)
);

create unique index if not exists langchain_pgvector_models_active on {{models}} (store) where state = 'active';

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
