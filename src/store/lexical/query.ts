/** A piece of a query that stands for one thing to look for. */
export interface QueryPart {
  readonly text: string;
  /** Whether its words have to follow each other. */
  readonly phrase: boolean;
}

/** A query in words, taken apart. What it means is the same in every language: terms are made of it in the database. */
export interface LexicalQuery {
  /** Words of which any may match, as running text. */
  readonly text: string;
  /** Beginnings of words, of which any may match. */
  readonly prefixes: readonly string[];
  /** One of each group has to match. */
  readonly required: readonly (readonly QueryPart[])[];
  /** None of these may match. */
  readonly excluded: readonly QueryPart[];
}

/** Characters that are read; a query that goes on is cut. */
const MAX_CHARACTERS = 20_000;
const MAX_PARTS = 64;

/**
 * Takes a query apart: `"words in order"` have to match, `-word` and `-"words"` must not, `word*` matches beginnings, and
 * `OR` between quoted parts makes one of them enough. All else is running text of which any word may match. Never fails:
 * what cannot be an operator is text.
 */
export function parseLexicalQuery(query: string): LexicalQuery {
  const text = query.slice(0, MAX_CHARACTERS).toWellFormed().replaceAll("\0", " ");
  const plain: string[] = [];
  const prefixes: string[] = [];
  const required: QueryPart[][] = [];
  const excluded: QueryPart[] = [];
  let group: QueryPart[] = [];
  let quoted = false;
  const endGroup = (): void => {
    if (quoted) required.push(group);
    group = [];
    quoted = false;
  };
  let joined = false;
  for (const token of tokens(text)) {
    if (token.text === "OR" && !token.phrase && !token.negated) {
      joined = true;
      continue;
    }
    if (!joined) endGroup();
    joined = false;
    const part = { text: token.text, phrase: token.phrase };
    if (token.negated) {
      if (excluded.length < MAX_PARTS) excluded.push(part);
      continue;
    }
    if (!token.phrase && /^[\p{L}\p{N}_][\p{L}\p{N}_.-]*\*$/u.test(token.text)) {
      if (prefixes.length < MAX_PARTS) prefixes.push(token.text.slice(0, -1));
      continue;
    }
    plain.push(token.text);
    group.push(part);
    quoted ||= token.phrase;
  }
  endGroup();
  return { text: plain.join(" "), prefixes, required: required.slice(0, MAX_PARTS), excluded };
}

interface Token extends QueryPart {
  readonly negated: boolean;
}

/** A quoted part or a run without spaces, each perhaps behind a minus that does not stand inside a word. */
function* tokens(text: string): Generator<Token> {
  for (const [, minus, quotes, word] of text.matchAll(/(?<!\S)(-?)"([^"]+)"|(\S+)/g)) {
    if (quotes !== undefined) {
      if (/[\p{L}\p{N}]/u.test(quotes)) yield { text: quotes.trim(), phrase: true, negated: minus === "-" };
      continue;
    }
    const negated = /^-[\p{L}\p{N}_$]/u.test(word!);
    yield { text: negated ? word!.slice(1) : word!.replaceAll('"', " ").trim(), phrase: false, negated };
  }
}
