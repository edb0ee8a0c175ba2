-- Chunks are numbered within segments; a posting is a chunk's number in its segment, how often the term occurs there, and
-- how many terms the chunk has. A row holds the postings of one common term, or of the terms that share a bucket.
-- Fails here, and not at the first write, when the server does not have the language.
select {{lexicalLanguage}};

create sequence {{lexicalSequence}};

create table {{lexical}} (
  tenant_id text not null check (tenant_id <> ''),
  collection text not null,
  key int4 not null,
  segment int8 not null,
  terms text[] not null,
  counts int4[] not null,
  numbers int2[] not null,
  frequencies int2[] not null,
  lengths int2[] not null,
  -- Of a term that a segment has in 1,024 chunks or more: a bit for each of 16,384 chunks, and the shortest text for each
  -- frequency, from which follows how much the term can count for. The postings are then in the order of numbers.
  present bit varying,
  peaks int2[],
  primary key (tenant_id, collection, key, segment)
);

create table {{lexicalDocuments}} (
  tenant_id text not null check (tenant_id <> ''),
  collection text not null,
  segment int8 not null,
  block int2 not null,
  ids text[] not null,
  hashes int8[] not null,
  lengths int2[] not null,
  primary key (tenant_id, collection, segment, block)
);

-- Rows are only added and deleted. One without chunks counts chunks of other segments that are gone or have changed.
create table {{lexicalSegments}} (
  tenant_id text not null check (tenant_id <> ''),
  collection text not null,
  segment int8 not null,
  chunks int4 not null,
  words int8 not null,
  dead int4 not null,
  primary key (tenant_id, collection, segment)
);

comment on table {{lexical}} is {{lexicalSettings}};

create aggregate {{lexicalConcat}} (anycompatiblearray) (
  sfunc = array_cat, stype = anycompatiblearray
);

-- What is kept of a very common term; nothing for another one.
create function {{lexicalCommon}}(
  inout numbers int2[], inout frequencies int2[], inout lengths int2[], out present bit varying, out peaks int2[]
) returns setof record
language plpgsql immutable parallel safe as $common$
declare
  ones text;
begin
  if numbers is null or cardinality(numbers) < 1024 then
    return;
  end if;
  select array_agg(o.number order by o.number), array_agg(o.frequency order by o.number), array_agg(o.length order by o.number),
    string_agg(repeat('0', o.number - o.before - 1) || '1', '' order by o.number)
  into numbers, frequencies, lengths, ones
  from (
    select p.number, p.frequency, p.length, lag(p.number, 1, (-1)::int2) over (order by p.number) as before
    from unnest(numbers, frequencies, lengths) as p (number, frequency, length)
  ) as o;
  present := rpad(ones, 16384, '0')::bit varying;
  select array[array_agg(frequency), array_agg(length)] into peaks from (
    select p.frequency, min(p.length) as length from unnest(frequencies, lengths) as p (frequency, length) group by p.frequency
  ) as shortest;
  return next;
end
$common$;

-- The chunks that are in at least so many of the sets.
create function {{lexicalAmong}}(sets bit varying[], needed int4) returns bit varying
language plpgsql immutable parallel safe as $among$
declare
  counted bit varying[] := array_fill(repeat('0', 16384)::bit varying, array[needed]);
  one bit varying;
begin
  foreach one in array sets loop
    for i in reverse needed .. 2 loop
      counted[i] := counted[i] | (counted[i - 1] & one);
    end loop;
    counted[1] := counted[1] | one;
  end loop;
  return counted[needed];
end
$among$;

create function {{lexicalWords}}(config regconfig, content text) returns tsvector
language sql stable parallel safe as $words$
  select case
    when content ~ '[[:alnum:]](_|\+\+|#)|_[[:alnum:]]|[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]' then
      to_tsvector(config, regexp_replace({{lexicalFolded}}, '[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+', ' ', 'g'))
      || coalesce((
        select string_agg(
          quote_literal(replace(part, '\', '')) || ':' || least(position, 16383), ' '
        )
        from (
          select lower(part) as part, row_number() over () as position from (
            -- Names such as hnsw.ef_search, ERR_1234, C++ and C#, whole and between their dots.
            select distinct on (n, part) part, n from
              (
                select match[1] as run, n
                from regexp_matches({{lexicalFolded}}, '[[:alnum:]_$][[:alnum:]_.$+#-]*', 'g') with ordinality as m (match, n)
                where strpos(match[1], '_') + strpos(match[1], '++') + strpos(match[1], '#') > 0
              ) as runs,
              lateral (
                select rtrim(run, '.-') as part
                union all select string_to_table(translate(run, '-', '.'), '.')
              ) as parts
            where part ~ '[[:alnum:]]_|_[[:alnum:]]|[[:alnum:]](\+\+|#)$'
            union all
            -- Languages without spaces, by pairs of characters.
            select substr(run.run[1], at, 2), n from
              regexp_matches(content, '[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+', 'g')
                with ordinality as run (run, n),
              lateral generate_series(1, greatest(1, length(run.run[1]) - 1)) as at
          ) as found
          where octet_length(part) <= 2000
        ) as counted
      )::tsvector, '')
    else to_tsvector(config, {{lexicalFolded}})
  end
$words$;

-- The terms of a text with how often each occurs; in pieces, because a tsvector holds a megabyte.
create function {{lexicalTerms}}(config regconfig, content text, out term text, out frequency int4) returns setof record
language sql stable parallel safe as $terms$
  select lexeme, sum(coalesce(cardinality(positions), 1))::int4
  from generate_series(1, length(content), 40000) as piece,
    unnest({{lexicalWords}}(config, substr(content, piece, 40000)))
  group by lexeme
$terms$;

-- Writes the live chunks of some segments, at most 16,384 of them, into a new one, whose number it returns. `thorough` also
-- drops what a segment that stays has again.
create function {{lexicalMerge}}(tenant text, place text, merged int8[], thorough bool) returns int8
language plpgsql set search_path = pg_catalog, pg_temp set jit = off set enable_sort = off set work_mem = '64MB' as $merge$
declare
  target int8 := nextval({{lexicalSequenceName}});
begin
  with gone as (
    delete from {{lexicalSegments}} s
    where s.tenant_id = tenant and s.collection = place and s.segment = any(merged)
    returning chunks, dead
  ), listed as (
    delete from {{lexicalDocuments}} d
    where d.tenant_id = tenant and d.collection = place and d.segment = any(merged)
    returning segment, block, ids, hashes, lengths
  ), stale as materialized (
    -- What a later segment has as well: texts that came back.
    select id, hash, segment from (
      select id, hash, segment, max(segment) over (partition by id, hash) as last
      from (
        select o.segment, unnest(o.ids) as id, unnest(o.hashes) as hash from {{lexicalDocuments}} o
        where thorough and o.tenant_id = tenant and o.collection = place
      ) as every
    ) as again
    where segment < last
  ), compared as materialized (
    select segment, number, id, hash, length, live,
      (case when live then count(*) filter (where live) over (order by segment, number) - 1 else -1 end)::int2 as position
    from (
      select *, there and row_number() over (partition by id, hash order by segment desc) = 1
        and (id, hash, segment) not in (select id, hash, segment from stale) as live
      from (
        select d.segment, d.block * 32 + l.n - 1 as number, l.id, l.hash, l.length, c.there is not null as there
        from listed d
        cross join lateral unnest(d.ids, d.hashes, d.lengths) with ordinality as l (id, hash, length, n)
        -- One lookup for each: a planner without statistics would rather compare everything with everything.
        left join lateral (
          select true as there from {{chunks}} c
          where c.tenant_id = tenant and c.collection = place and c.{{id}} = l.id
            and hashtextextended(c.{{content}} collate "C", 0) = l.hash
          limit 1
        ) as c on true
      ) as looked_up
    ) as chosen
  ), documents as (
    select * from compared where live
  ), moved as materialized (
    -- By segment and number, a chunk's number in the new segment, or -1.
    select segment, array_agg(position order by number) as positions from compared group by segment
  ), removed as (
    delete from {{lexical}} p
    where p.tenant_id = tenant and p.collection = place and p.segment = any(merged)
    returning segment, terms, counts, numbers, frequencies, lengths
  ), written as (
    insert into {{lexicalDocuments}}
    select tenant, place, target, position / 32, array_agg(id order by position), array_agg(hash order by position),
      array_agg(length order by position)
    from documents group by position / 32
  ), summed as (
    insert into {{lexicalSegments}}
    select tenant, place, target, count(*), coalesce(sum(length), 0),
      (select sum(dead) - sum(chunks) from gone) + count(*)
    from documents
    having count(*) > 0 or (select sum(dead) - sum(chunks) from gone) <> 0
  ), postings as (
    select term, positions[number + 1] as number, frequency, length
    from (
      select m.positions, unnest(array(
          select t.term from unnest(r.terms, r.counts) as t (term, count), generate_series(1, t.count)
        )) as term, unnest(r.numbers) as number, unnest(r.frequencies) as frequency, unnest(r.lengths) as length
      from removed r join moved m using (segment)
      order by r.segment
    ) as o
    where positions[number + 1] >= 0
    -- Leaves the positions behind before anything is sorted.
    offset 0
  ), lists as materialized (
    select term, count(*)::int4 as count, array_agg(number) as numbers, array_agg(frequency) as frequencies,
      array_agg(length) as lengths
    from postings group by term
  ), keyed as (
    select *, {{lexicalKey}} as key
    from lists, (select {{lexicalLevel}} as level from (select sum(count) as total from lists) as t) as sized
  )
  insert into {{lexical}}
  select tenant, place, k.key, target, k.terms, k.counts, coalesce(c.numbers, k.numbers),
    coalesce(c.frequencies, k.frequencies), coalesce(c.lengths, k.lengths), c.present, c.peaks
  from (
    select key, array_agg(term) as terms, array_agg(count) as counts, {{lexicalConcat}}(numbers) as numbers,
      {{lexicalConcat}}(frequencies) as frequencies, {{lexicalConcat}}(lengths) as lengths
    from keyed group by key
  ) as k
  left join lateral {{lexicalCommon}}(
    case when cardinality(k.terms) = 1 then k.numbers end, k.frequencies, k.lengths
  ) as c on true;
  return target;
end
$merge$;

-- Keeps small segments few and small collections free of what is gone, within the writer's transaction; the rest is left to
-- the library.
create function {{lexicalSettle}}(tenant text, place text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $settle$
declare
  merged int8[];
  locked bool := false;
  cleaned bool := false;
begin
  -- With an older snapshot, what another writer has just merged would be an error.
  if current_setting('transaction_isolation') <> 'read committed' then
    return;
  end if;
  loop
    select array_agg(s.segment) into merged from {{lexicalSegments}} s
    where not cleaned and s.tenant_id = tenant and s.collection = place
    having sum(s.chunks) between 0 and 512 and sum(s.dead) > greatest(4, sum(s.chunks) / 10);
    cleaned := cleaned or (locked and merged is not null);
    if merged is null then
      select array_agg(s.segment) into merged from {{lexicalSegments}} s
      where s.tenant_id = tenant and s.collection = place and s.chunks < 64
      group by (s.chunks > 7) having count(*) >= 8 limit 1;
    end if;
    exit when merged is null;
    if not locked then
      locked := pg_try_advisory_xact_lock({{lexicalLock}}, hashtext(tenant || e'\x01' || place));
      exit when not locked;
      -- Looked for again: whoever had the lock may have done it.
      continue;
    end if;
    perform {{lexicalMerge}}(tenant, place, merged, false);
  end loop;
end
$settle$;

create function {{lexicalRemove}}() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $remove$
declare
  touched record;
begin
  insert into {{lexicalSegments}}
  select tenant_id, collection, nextval({{lexicalSequenceName}}), 0, 0, count(*)
  from old_rows where {{lexicalVisible}} group by tenant_id, collection;
  for touched in select distinct tenant_id, collection from old_rows loop
    perform {{lexicalSettle}}(touched.tenant_id, touched.collection);
  end loop;
  return null;
end
$remove$;

create function {{lexicalEmpty}}() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $empty$
begin
  truncate {{lexical}}, {{lexicalDocuments}}, {{lexicalSegments}};
  return null;
end
$empty$;

{{lexicalIndex}}
create trigger langchain_pgvector_lexical_add after insert on {{chunks}}
  referencing new table as new_rows for each statement execute function {{lexicalAdd}}();
create trigger langchain_pgvector_lexical_change after update on {{chunks}}
  referencing old table as old_rows new table as new_rows for each statement execute function {{lexicalChange}}();
create trigger langchain_pgvector_lexical_remove after delete on {{chunks}}
  referencing old table as old_rows for each statement execute function {{lexicalRemove}}();
create trigger langchain_pgvector_lexical_empty after truncate on {{chunks}}
  for each statement execute function {{lexicalEmpty}}();
