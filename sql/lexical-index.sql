-- Indexes texts, each with its place in a segment of at most 16,384 chunks. A template for inserts, for updates and for rows
-- that were there before.
create function {{function}} returns {{returns}}
language plpgsql set search_path = pg_catalog, pg_temp set jit = off set enable_sort = off set work_mem = '64MB' as $index$
declare
  touched record;
begin
  with written as materialized (
{{written}}
  ), places as materialized (
    select tenant_id, collection, part, nextval({{lexicalSequenceName}}) as segment
    from (select distinct tenant_id, collection, part from written) as p
  ), documents as materialized (
    select p.segment, w.number, w.id, hashtextextended(w.content collate "C", 0) as hash, w.words, w.config, w.content,
      least(32767, (select coalesce(sum(coalesce(cardinality(positions), 1)), 0) from unnest(w.words)))::int2 as length
    from (
      select *, case when length(content) <= 40000 then {{lexicalWords}}(config, content) end as words from written
      -- Keeps the text from being split into words twice.
      offset 0
    ) as w
    join places p using (tenant_id, collection, part)
  ), postings as (
    select d.segment, d.number, d.length, w.lexeme as term, coalesce(cardinality(w.positions), 1) as frequency
    from documents d, unnest(d.words) as w
    union all
    select d.segment, d.number, least(32767, sum(w.frequency) over (partition by d.segment, d.number))::int2, w.term,
      w.frequency
    from documents d, {{lexicalTerms}}(d.config, d.content) as w where d.words is null
  ), lists as materialized (
    select segment, term, count(*)::int4 as count, array_agg(number) as numbers,
      array_agg(least(frequency, 32767)::int2) as frequencies, array_agg(length) as lengths
    from postings group by segment, term
  ), keyed as (
    select *, {{lexicalKey}} as key
    from lists join (
      select segment, {{lexicalLevel}} as level from (select segment, sum(count) as total from lists group by segment) as t
    ) as sized using (segment)
  ), stored as (
    insert into {{lexical}}
    select p.tenant_id, p.collection, k.key, p.segment, k.terms, k.counts, coalesce(c.numbers, k.numbers),
      coalesce(c.frequencies, k.frequencies), coalesce(c.lengths, k.lengths), c.present, c.peaks
    from (
      select segment, key, array_agg(term) as terms, array_agg(count) as counts, {{lexicalConcat}}(numbers) as numbers,
        {{lexicalConcat}}(frequencies) as frequencies, {{lexicalConcat}}(lengths) as lengths
      from keyed group by segment, key
    ) as k
    join places p using (segment)
    left join lateral {{lexicalCommon}}(
      case when cardinality(k.terms) = 1 then k.numbers end, k.frequencies, k.lengths
    ) as c on true
  ), lengths as materialized (
    select d.segment, d.number, d.id, d.hash, case when d.words is not null then d.length else (
      select coalesce(least(32767, sum(w.frequency)), 0)::int2 from {{lexicalTerms}}(d.config, d.content) as w
    ) end as length
    from documents d
  ), listed as (
    insert into {{lexicalDocuments}}
    select p.tenant_id, p.collection, p.segment, d.block, d.ids, d.hashes, d.lengths
    from (
      select segment, number / 32 as block, array_agg(id order by number) as ids, array_agg(hash order by number) as hashes,
        array_agg(length order by number) as lengths
      from lengths group by segment, number / 32
    ) as d
    join places p using (segment)
  )
  insert into {{lexicalSegments}}
  select p.tenant_id, p.collection, p.segment, d.chunks, d.words, 0
  from (select segment, count(*) as chunks, sum(length) as words from lengths group by segment) as d
  join places p using (segment);
{{finish}}
end
$index$;
