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
  /** Whether all matches are looked at, and not just those that are likely to be enough. */
  readonly complete: boolean;
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
  // With room for rows that are gone since; when they were more, the search runs again over all matches.
  const most = search.complete ? empty : sql`limit ${fetch + Math.ceil(fetch / 4) + 10}::int8`;
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
    ), matches as materialized (
      select s.segment, m.number, m.bm25, m.matched
      from (select distinct segment from rows) as s
      cross join lateral (
        select number, sum(most * frequency / (frequency + fixed + per_word * length)) as bm25, bit_or(bit) as matched
        from (
          select unnest(r.numbers[first:last]) as number, unnest(r.frequencies[first:last]) as frequency,
            unnest(r.lengths[first:last]) as length, r.weight * w.idf as most, w.fixed, w.per_word,
            ${constrained ? sql`r.excluded, r.required,` : empty}
            case when r.n < ${MAX_REPORTED} then 1::int8 << r.n::int4 else 0 end as bit
          from rows r join weighted w using (n) where r.segment = s.segment
        ) as p
        group by number
        ${!constrained ? empty : sql`having not bool_or(excluded) and count(*) filter (where required) = (select count(*) from asked where required)`}
        order by bm25 desc, number ${most}
      ) as m
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

/** Columns that say what became of a query, whether or not it found anything. */
export const LEXICAL_REPORT: Sql = sql`
  array(select term from asked where not excluded order by n) as terms,
  array(select coalesce(w.chunks, 0)::float8 from asked left join weighted w using (n) where not excluded order by n) as frequencies,
  (select count(*) from matches)::float8 as matches,
  (select coalesce(sum(a.weight * w.idf), 0) from asked a join weighted w using (n)) as best`;

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
