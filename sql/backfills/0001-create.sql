create table {{backfill}} (
  tenant_id text not null check (tenant_id <> ''),
  version integer not null,
  relation text not null,
  first_page bigint not null,
  end_page bigint not null,
  worker uuid,
  leased_until timestamptz,
  done boolean not null default false,
  filled bigint not null default 0,
  kept_in_place bigint not null default 0,
  primary key (tenant_id, version, relation, first_page)
);

create table {{setAside}} (
  tenant_id text not null check (tenant_id <> ''),
  version integer not null,
  collection text not null,
  id text not null,
  content_hash bytea not null,
  reason text not null,
  noted_at timestamptz not null default now(),
  primary key (tenant_id, version, collection, id)
);
