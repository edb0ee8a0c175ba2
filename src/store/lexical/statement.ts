import sql, { empty, join, raw, type Sql } from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import { KEY_LEVELS, regconfig } from "../../schema/lexical.js";
import { compileFilter, type FilterNode } from "../filter/index.js";
import { scope, type ScopedStore } from "../open.js";
import type { OpenLexical } from "./open.js";
import type { LexicalQuery, QueryPart } from "./query.js";

/** A term that stands in for what the query says: a word with its beginning, or one spelt nearly like it. */
export interface ExtraTerm {
  readonly term: string;
  /** What a match counts for, 1 for a term of the query itself. */
  readonly weight: number;
}

/**
 * `pruned`: those that can be among the best if very common terms alone do not lead there, which the report's `bound` tells;
 * `scored`: those with the best scores; `complete`: all.
 */
export type Effort = "pruned" | "scored" | "complete";

export interface LexicalSearch {
  readonly query: LexicalQuery;
  readonly extra: readonly ExtraTerm[];
  /** Text search configuration of the query; `undefined`: the store's. */
  readonly language: string | undefined;
  readonly filter: FilterNode | undefined;
  /** Rows that are wanted. */
  readonly fetch: number;
  /** Further columns of the rows, over the table of chunks as `c`. */
  readonly columns: Sql;
  /** How many of the matches are looked at. */
  readonly effort: Effort;
}

/** Terms beyond these are not looked up, and of those beyond the second it is not said whether they matched. */
const MAX_TERMS = 1_000;
const MAX_REPORTED = 62;
/** Matches whose text is looked into for phrases and exclusions, best first. */
const MAX_LOOKED_INTO = 5_000;

/**
 * The lexical leg as common table expressions: `asked`, the terms of the query with how many chunks have them, and
 * `lexical`, the best rows with `id`, `content`, `metadata`, `bm25`, `matched` (a bit for each term) and `place`.
 *
 * Every lookup is by equality on tenant, collection and a hash of the term, which row-level security lets an index serve.
 * `offset` and `limit` keep each of them a lookup of its own: a planner without statistics would rather join whole tables.
 * Scores are summed up segment by segment: small hash tables, which stay in the processor's caches.
 */
export function lexicalLeg(store: ScopedStore, lexical: OpenLexical, search: LexicalSearch): Sql {
  const { query, fetch } = search;
  const { id, content, metadata } = store.columns;
  const { k1, b } = lexical.settings;
  const config = search.language === undefined ? lexical.config : raw(regconfig(search.language));
  const within = (alias: string): Sql =>
    sql`${raw(alias)}.tenant_id = ${store.tenant}::text and ${raw(alias)}.collection = ${store.options.collection}::text`;
  const single = query.excluded.filter(isWord);
  const looked = lookInto(store, query, config, lexical);
  const must = query.required.filter((group) => group.length === 1).map((group) => group[0]!.text);
  const constrained = single.length + must.length > 0;
  const prune = search.effort === "pruned";
  // With room for rows that are gone since; when they were more, the search runs again over all matches.
  const room = fetch + Math.ceil(fetch / 4) + 10;
  const most = search.effort === "complete" ? empty : sql`limit ${room}::int8`;
  return sql`
    asked as materialized (
      select term, hashtext(term collate "C") as hash, weight::float8, excluded, required, row_number() over (order by excluded) - 1 as n
      from (
        select w.lexeme as term, coalesce(cardinality(w.positions), 1) as weight, false as excluded,
          w.lexeme = any(array(select lexeme from unnest(${lexical.words}(${config}, ${must.join(" ")}::text)))) as required
        from (select * from unnest(${lexical.words}(${config}, ${query.text}::text)) limit ${MAX_TERMS}::int8) as w
        union all
        select t.term, t.weight, false, false
        from unnest(${new TextArrayParameter(search.extra.map(({ term }) => term))}::text[], ${`{${search.extra.map(({ weight }) => weight).join(",")}}`}::float8[]) as t (term, weight)
        union all
        select w.lexeme, 0, true, false
        from unnest(${new TextArrayParameter(single.map(({ text }) => text))}::text[]) as x (text),
          lateral unnest(${lexical.words}(${config}, x.text)) as w
      ) as t
    ), rows as materialized (
      select a.n, a.weight, a.excluded, a.required, p.segment, c.before + 1 as first, c.before + p.counts[i] as last, p.numbers, p.frequencies, p.lengths
        ${prune ? sql`, p.present, p.peaks` : empty}
      from asked a
      cross join unnest('${raw(KEY_LEVELS)}'::int4[]) as l (level)
      cross join lateral (
        select * from ${lexical.postings} p
        where ${within("p")} and p.key = ((1 << l.level) | (a.hash & ((1 << l.level) - 1)))
        offset 0
      ) as p
      cross join lateral array_position(p.terms, a.term) as i
      cross join lateral (select coalesce(sum(count), 0)::int4 as before from unnest(p.counts[:i - 1]) as c (count)) as c
      where i is not null
    ), corpus as materialized (
      select coalesce(sum(chunks), 0)::float8 as chunks, greatest(1, sum(words)::float8 / nullif(sum(chunks), 0)) as average
      from ${lexical.segments} s where ${within("s")}
    ), weighted as materialized (
      select r.n, sum(last - first + 1)::float8 as chunks,
        ln(1 + (c.chunks - sum(last - first + 1) + 0.5) / (sum(last - first + 1)::float8 + 0.5)) as idf,
        ${k1 * (1 - b)}::float8 as fixed, ${k1 * b}::float8 / c.average as per_word
      from rows r, corpus c group by r.n, c.chunks, c.average
    )${prune ? commonTerms(lexical) : empty}, matches as materialized (
      select s.segment, m.number, m.bm25, m.matched
      from (select distinct segment from rows) as s
      ${prune ? sql`left join pruned u using (segment)` : empty}
      cross join lateral (
        select number, sum(most * frequency / (frequency + fixed + per_word * length)) as bm25, bit_or(bit) as matched
        from (
          select unnest(r.numbers[first:last]) as number, unnest(r.frequencies[first:last]) as frequency,
            unnest(r.lengths[first:last]) as length, r.weight * w.idf as most, w.fixed, w.per_word,
            ${constrained ? sql`r.excluded, r.required,` : empty}
            ${bitOf("r")} as bit
          from rows r join weighted w using (n) where r.segment = s.segment ${prune ? sql`and u.chosen is null` : empty}
        ) as p
        group by number
        ${!constrained ? empty : sql`having not bool_or(excluded) and count(*) filter (where required) = (select count(*) from asked where required)`}
        order by bm25 desc, number ${most}
      ) as m
      ${prune ? prunedMatches(room) : empty}
    ), lexical as materialized (
      select f.*, row_number() over (order by bm25 desc, id) as place
      from (
        select *, row_number() over (partition by id order by bm25 desc) as copy
        from (
          select c.*, m.bm25, m.matched
          from (
            select * from matches order by bm25 desc, segment, number
            ${looked === undefined ? empty : sql`limit ${MAX_LOOKED_INTO}::int8`}
          ) as m
          cross join lateral (
            select d.ids[m.number % 32 + 1] as id, d.hashes[m.number % 32 + 1] as hash
            from ${lexical.documents} d where ${within("d")} and d.segment = m.segment and d.block = (m.number / 32)::int2
            limit 1
          ) as d
          cross join lateral (
            select ${id} as id, ${content} as content, ${metadata} as metadata ${search.columns}
            from ${store.table} ${looked === undefined ? empty : sql`cross join lateral ${lexical.words}(${config}, ${content}) as words`}
            where ${scope(store)} and ${id} = d.id and hashtextextended(${content} collate "C", 0) = d.hash
              ${search.filter === undefined ? empty : sql`and ${compileFilter(search.filter, store.columns)}`}
              ${looked === undefined ? empty : sql`and ${looked}`}
            limit 1
          ) as c
          order by m.bm25 desc limit ${fetch}::int8
        ) as live
      ) as f
      where copy = 1
    )`;
}

/** A bit for each of the first terms. */
function bitOf(row: string): Sql {
  return sql`case when ${raw(row)}.n < ${MAX_REPORTED} then 1::int8 << ${raw(row)}.n::int4 else 0 end`;
}

/** Share of the best score there could be which the last row that is wanted is likely to reach; see `Effort`. */
const LIKELY = 0.4;

/**
 * `common`, the very common terms with what they can count for, and `pruned`, the segments where chunks with too few of
 * them, and no other term, are left out: such a chunk has at most `bound`.
 */
function commonTerms(lexical: OpenLexical): Sql {
  return sql`
    , common as materialized (
      select r.n, r.segment, r.last as count, r.weight * w.idf as most, w.fixed, w.per_word, ${bitOf("r")} as bit, m.top,
        -- Out of their compressed form, once for all that is looked up in them.
        r.present || b'' as present, r.frequencies[:] as frequencies, r.lengths[:] as lengths
      from rows r join weighted w using (n)
      cross join lateral (
        select max(r.weight * w.idf * frequency / (frequency + w.fixed + w.per_word * length)) as top
        from unnest(r.peaks[1:1], r.peaks[2:2]) as p (frequency, length)
      ) as m
      where r.present is not null
    ), pruned as materialized (
      select segment, total, bound, chosen from (
        select segment, total, bound,
          case when needed > terms then b'' when needed > 1 then ${lexical.among}(sets, needed::int4) end as chosen, postings
        from (
          select segment, count(*) as terms, 1 + count(*) filter (where running <= likely) as needed, array_agg(present) as sets,
            sum(top) as total, coalesce(max(running) filter (where running <= likely), 0) as bound, sum(count) as postings
          from (
            select *, sum(top) over (partition by segment order by top desc, n) as running,
              ${LIKELY}::float8 * (select sum(a.weight * w.idf) from asked a join weighted w using (n)) as likely
            from common
          ) as c
          group by segment
        ) as counted
      ) as sized
      where chosen is not null and bit_count(chosen) * 8 <= postings
    )`;
}

/**
 * Matches of segments that are pruned: the other terms summed up as always, the very common ones looked up by number for the
 * chunks that may still be among the best.
 */
function prunedMatches(room: number): Sql {
  return sql`
      union all
      select u.segment, m.number, m.bm25, m.matched
      from pruned u
      cross join lateral (
        with summed as materialized (
          select number, sum(most * frequency / (frequency + fixed + per_word * length)) as bm25, bit_or(bit) as matched
          from (
            select unnest(r.numbers[first:last]) as number, unnest(r.frequencies[first:last]) as frequency,
              unnest(r.lengths[first:last]) as length, r.weight * w.idf as most, w.fixed, w.per_word, ${bitOf("r")} as bit
            from rows r join weighted w using (n) where r.segment = u.segment and r.present is null
            union all
            -- The places of the ones, from the lengths of what is between them.
            select place::int2, 0, 0, 0, 1, 0, 0
            from (
              select sum(length(zeros) + 1) over (rows unbounded preceding) - 1 as place
              from string_to_table(u.chosen::text, '1') as zeros
            ) as ones
            where place < length(u.chosen)
          ) as p
          group by number
        ), hopeful as materialized (
          -- Others have more than what is left out here can come to.
          select * from summed
          where bm25 >= coalesce((select bm25 from summed order by bm25 desc offset ${room}::int8 limit 1), 0) - u.total - 1e-9
        )
        select number, sum(bm25) as bm25, bit_or(matched) as matched
        from (
          select number, bm25, matched from hopeful
          union all
          select number, most * frequencies[place] / (frequencies[place] + fixed + per_word * lengths[place]), bit
          from (
            select c.*, h.number, bit_count(substring(c.present from 1 for h.number + 1))::int4 as place
            from common c
            cross join lateral (select number from hopeful where get_bit(c.present, number) = 1 offset 0) as h
            where c.segment = u.segment
            offset 0
          ) as found
        ) as p
        group by number
        order by bm25 desc, number limit ${room}::int8
      ) as m`;
}

/**
 * Columns that say what became of a query, whether or not it found anything.
 *
 * @param first whether a row is the one that says it; the others spare writing it out.
 */
export function lexicalReport(effort: Effort, first: Sql): Sql {
  const columns = {
    terms: sql`array(select term from asked where not excluded order by n)`,
    frequencies: sql`array(select coalesce(w.chunks, 0)::float8 from asked left join weighted w using (n) where not excluded order by n)`,
    matches: sql`(select count(*) from matches)::float8`,
    bound: effort === "pruned" ? sql`(select coalesce(max(bound), 0) from pruned)` : sql`0::float8`,
    best: sql`(select coalesce(sum(a.weight * w.idf), 0) from asked a join weighted w using (n))`,
  };
  return join(
    Object.entries(columns).map(([name, value]) => sql`case when ${first} then ${value} end as ${raw(name)}`),
  );
}

/** Parts that are words rather than phrases: a posting says whether they match. */
function isWord({ text, phrase }: QueryPart): boolean {
  return !phrase && /^[\p{L}\p{N}]+$/u.test(text) && !CJK.test(text);
}

const CJK = /[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]/;

/** What only the text itself can answer, as a condition over it and its `words`; `undefined` when there is nothing. */
function lookInto(store: ScopedStore, query: LexicalQuery, config: Sql, lexical: OpenLexical): Sql | undefined {
  const has = ({ text, phrase }: QueryPart): Sql => {
    if (CJK.test(text)) return sql`strpos(lower(${store.columns.content}), lower(${text}::text)) > 0`;
    if (phrase) return sql`words @@ phraseto_tsquery(${config}, ${text}::text)`;
    return sql`words @@ (
      select coalesce(string_agg(quote_literal(replace(lexeme, '\\', '')), ' & '), '')
      from unnest(${lexical.words}(${config}, ${text}::text)))::tsquery`;
  };
  const excluded = query.excluded.filter((part) => !isWord(part)).map((part) => sql`not (${has(part)})`);
  const required = query.required.map((group) => {
    const text = group.map((part) => part.text).join(" ");
    const any = join(group.map(has), " or ");
    // Words that every text has cannot be asked for.
    return sql`(${any} or cardinality(array(select lexeme from unnest(${lexical.words}(${config}, ${text}::text)))) = 0)`;
  });
  const conditions = [...required, ...excluded];
  return conditions.length === 0 ? undefined : sql`(${join(conditions, " and ")})`;
}
