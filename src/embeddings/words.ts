import { stemmer } from "stemmer";
import { isStopWord } from "./stop-words.js";

/** One word of a text, as both the embedder and the extractive answerer see it. */
export interface Word {
  /** Porter stem of an ASCII word, else the NFKC lower-cased word itself, a pair of unspaced characters, or an operator. */
  readonly stem: string;
  /** English function word: carries structure, not subject. */
  readonly stop: boolean;
  /** The undivided name that parts stand for (`hnsw.ef_search`); its parts follow it as words of their own. */
  readonly compound: boolean;
}

// Three kinds of token: a name or word with inner joiners, an operator such as `<=>` or `->>`, a pictograph.
const TOKEN = /[\p{L}\p{M}\p{N}]+(?:[._\-:/@]{1,2}[\p{L}\p{M}\p{N}]+)*|[<>=@~&#|!?+-]{2,6}|\p{Extended_Pictographic}/gu;
const SYMBOLS = /^[<>=@~&#|!?+-]/;
const OPERATOR = /[<>@~&]/;
const JOINERS = /[._\-:/@]+/u;
const OUTER_JOINERS = /[.:/@]+/u;
const CAMEL_HUMP = /(?<=\p{Ll})(?=\p{Lu})/u;
const THOUSANDS_COMMA = /(?<=\d),(?=\d{3}(?!\d))/g;
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}ー]+/gu;

/**
 * Splits a text into words: NFKC, lower case, Porter stems. Names with inner joiners or camel case come whole and in
 * parts; scripts that write without spaces come as overlapping pairs of characters. Linear in the length of the text.
 */
export function wordsOf(text: string): Word[] {
  const words: Word[] = [];
  for (const [token] of text.normalize("NFKC").replace(THOUSANDS_COMMA, "").matchAll(TOKEN)) {
    if (!SYMBOLS.test(token)) appendName(words, token);
    // Table rules and Markdown emphasis are runs of symbols too.
    else if (OPERATOR.test(token)) words.push({ stem: token, stop: false, compound: false });
  }
  return words;
}

function appendName(words: Word[], name: string): void {
  const parts = name.split(JOINERS).flatMap((part) => part.split(CAMEL_HUMP));
  if (parts.length > 1) {
    const known = new Set(parts);
    for (const whole of new Set([name, ...name.split(OUTER_JOINERS)])) {
      if (known.has(whole)) continue;
      words.push({ stem: stemOf(whole.toLowerCase()), stop: false, compound: true });
    }
  }
  for (const part of parts) appendPart(words, part.toLowerCase());
}

function appendPart(words: Word[], part: string): void {
  let from = 0;
  for (const run of part.matchAll(UNSPACED)) {
    appendWord(words, part.slice(from, run.index));
    const characters = Array.from(run[0]);
    if (characters.length === 1) appendWord(words, run[0]);
    for (let i = 0; i + 1 < characters.length; i++) appendWord(words, `${characters[i]}${characters[i + 1]}`);
    from = run.index + run[0].length;
  }
  appendWord(words, part.slice(from));
}

function appendWord(words: Word[], word: string): void {
  if (word !== "") words.push({ stem: stemOf(word), stop: isStopWord(word), compound: false });
}

function stemOf(word: string): string {
  return /^[a-z]{3,40}$/.test(word) ? stemmer(word) : word;
}
