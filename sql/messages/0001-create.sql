create table {{messages}} (
  tenant_id text not null check (tenant_id <> ''),
  session text not null,
  number bigint not null check (number > 0),
  message jsonb not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, session, number)
);
