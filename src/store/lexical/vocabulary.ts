import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { ScopedStore } from "../open.js";
import type { OpenLexical } from "./open.js";
import type { ExtraTerm } from "./statement.js";

/** Terms that one beginning or one misspelt word may stand for. */
const MAX_PREFIXED = 50;
const MAX_SIMILAR = 3;
/** Words of a query whose spelling is looked into. */
const MAX_UNKNOWN = 8;
/** What a match of a term that is only spelt alike counts for. */
const SIMILAR_WEIGHT = 0.8;

interface TermRow {
  term: string;
  asked: string;
  prefix: boolean;
  chunks: number;
}

/**
 * The tenant's own terms that begin as asked, and those spelt nearly like a word that it does not have. Costs one reading
 * of the terms of the collection; nothing when nothing is asked.
 */
export async function findExtraTerms(
  store: ScopedStore,
  lexical: OpenLexical,
  { prefixes, unknown }: { prefixes: readonly string[]; unknown: readonly string[] },
  signal: AbortSignal | undefined,
): Promise<ExtraTerm[]> {
  const spelt = unknown.filter((word) => /^\p{L}{4,}$/u.test(word)).slice(0, MAX_UNKNOWN);
  const begun = prefixes.map((prefix) => prefix.toLowerCase());
  if (spelt.length + begun.length === 0) return [];
  const { rows } = await store.database.execute(
    {
      name: "lexical-vocabulary",
      sql: sql`
        with known as materialized (
          select t.term, sum(t.count)::float8 as chunks
          from ${lexical.postings} p cross join lateral unnest(p.terms, p.counts) as t (term, count)
          where p.tenant_id = ${store.tenant}::text and p.collection = ${store.options.collection}::text
          group by t.term
        )
        select k.term, k.chunks, a.text as asked, true as prefix
        from unnest(${new TextArrayParameter(begun)}::text[]) as a (text)
        cross join lateral (
          select * from known where starts_with(known.term, a.text) order by chunks desc, term limit ${MAX_PREFIXED}::int8
        ) as k
        union all
        select k.term, k.chunks, a.text, false
        from unnest(${new TextArrayParameter(spelt)}::text[]) as a (text)
        join known k on length(k.term) between length(a.text) - 4 and length(a.text) + 2
          and (left(k.term, 1) = left(a.text, 1) or left(k.term, 2) = reverse(left(a.text, 2))
            or substr(k.term, 2, 3) = substr(a.text, 2, 3) or right(k.term, 3) = right(a.text, 3))`,
    },
    { settings: store.settings, signal, replica: "any" },
  );
  const found = rows as unknown as TermRow[];
  const begin = found.filter(({ prefix }) => prefix).map(({ term }) => ({ term, weight: 1 }));
  const similar = spelt.flatMap((word) =>
    mostSimilar(
      word,
      found.filter(({ prefix, asked }) => !prefix && asked === word),
    ),
  );
  return [...new Map([...similar, ...begin].map((extra) => [extra.term, extra])).values()];
}

/** The terms with the fewest changes to a word: one of at most seven letters may have one, a longer one two. */
function mostSimilar(word: string, candidates: readonly TermRow[]): ExtraTerm[] {
  const allowed = word.length < 8 ? 1 : 2;
  const measured = candidates
    .map(({ term, chunks }) => ({ term, chunks, changes: editDistance(term, word, allowed) }))
    .filter(({ changes }) => changes <= allowed + ENDING_CHANGES);
  const fewest = Math.min(...measured.map(({ changes }) => changes));
  return measured
    .filter(({ changes }) => changes === fewest)
    .sort((a, b) => b.chunks - a.chunks)
    .slice(0, MAX_SIMILAR)
    .map(({ term }) => ({ term, weight: SIMILAR_WEIGHT }));
}

/** Letters of a misspelt word that a stem may lack: its ending is not cut off as that of the right one. */
const MAX_ENDING = 3;
const ENDING_CHANGES = 0.5;

/**
 * Insertions, deletions, replacements and swaps of neighbours between a stem and a word, half a change more where the word
 * has an ending of up to three letters that is left out; anything above `limit` is too many.
 */
export function editDistance(a: string, b: string, limit: number): number {
  if (a.length - b.length > limit || b.length - a.length > limit + MAX_ENDING) return limit + 1;
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let changes = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        changes = Math.min(changes, before[j - 2]! + 1);
      }
      row.push(changes);
    }
    before = last;
    last = row;
  }
  const shorter = last.slice(Math.max(1, b.length - MAX_ENDING), b.length);
  return Math.min(last[b.length]!, ...shorter.map((changes) => changes + ENDING_CHANGES));
}
