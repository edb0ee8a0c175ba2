import { FilterError } from "../errors.js";

/** Escapes that mean the same in both dialects, outside of brackets. */
const SAME_ESCAPES = /^[dDwWsSnrtfvaA]$/;
const OTHER_ESCAPES: Readonly<Record<string, string>> = { b: "\\y", B: "\\Y", z: "\\Z" };

/**
 * A regular expression of Rust's `regex` crate, which Chroma's server uses, in Postgres' dialect with the same matches:
 * a dot leaves out line ends, `\b` is a word boundary.
 *
 * @throws FilterError for what Postgres has no equal of (Unicode classes, flags inside the pattern, set operations) and for
 * what Rust refuses too (look-around, back references).
 * @see https://docs.rs/regex/latest/regex/#syntax
 * @see https://www.postgresql.org/docs/current/functions-matching.html#POSIX-SYNTAX-DETAILS
 */
export function toPostgresRegex(pattern: string, path: string): string {
  const flags = /^\(\?([a-zA-Z]+)\)/.exec(pattern);
  const names = flags?.[1] ?? "";
  if (/[^ims]/.test(names)) throw unsupported(path, `the flags (?${names})`);
  const body = translate(pattern.slice(flags?.[0].length ?? 0), names.includes("s"), path);
  // Postgres' "w" moves ^ and $ to line ends and leaves the dot alone, as Rust's "m" does.
  const options = (names.includes("i") ? "i" : "") + (names.includes("m") ? "w" : "");
  // "***" at the start would choose another dialect.
  return options === "" ? (body.startsWith("*") ? refuseStart(path) : body) : `(?${options})${body}`;
}

function translate(pattern: string, dotMatchesLineEnd: boolean, path: string): string {
  let result = "";
  for (let at = 0; at < pattern.length;) {
    const char = pattern[at]!;
    if (char === "\\") {
      const [escape, length] = translateEscape(pattern.slice(at), path);
      result += escape;
      at += length;
    } else if (char === "[") {
      const [brackets, length] = translateBrackets(pattern.slice(at), path);
      result += brackets;
      at += length;
    } else if (char === "(" && pattern[at + 1] === "?") {
      const group = /^\(\?(?::|P?<[A-Za-z_]\w*>)/.exec(pattern.slice(at))?.[0];
      if (group === undefined) throw unsupported(path, `the group ${pattern.slice(at, at + 4)}`);
      result += "(?:";
      at += group.length;
    } else {
      result += char === "." && !dotMatchesLineEnd ? "[^\n]" : char;
      at += 1;
    }
  }
  return result;
}

/** The escape at the start of a text, and how much of the text it was. */
function translateEscape(text: string, path: string): [string, number] {
  const code = /^\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|[xuU]\{([0-9A-Fa-f]{1,8})\})/.exec(text);
  if (code !== null) {
    const hex = code.slice(1).find((digits) => digits !== undefined)!;
    return [`\\U${hex.padStart(8, "0")}`, code[0].length];
  }
  const next = text[1];
  if (next === undefined) throw unsupported(path, "a lone backslash at its end");
  if (SAME_ESCAPES.test(next) || !/[A-Za-z0-9<>]/.test(next)) return [`\\${next}`, 2];
  const other = OTHER_ESCAPES[next];
  if (other === undefined) throw unsupported(path, `\\${next}`);
  return [other, 2];
}

/** The bracket expression at the start of a text, and how much of the text it was. */
function translateBrackets(text: string, path: string): [string, number] {
  let result = text.startsWith("[^") ? "[^" : "[";
  let at = result.length;
  if (text[at] === "]") {
    // First in brackets it stands for itself.
    result += "]";
    at += 1;
  }
  while (at < text.length) {
    const rest = text.slice(at);
    const named = /^\[:\^?([a-z]+):\]/.exec(rest)?.[0];
    if (rest.startsWith("]")) return [`${result}]`, at + 1];
    if (named !== undefined && !named.includes("^")) {
      result += named;
      at += named.length;
    } else if (/^(\[|&&|--|~~)/.test(rest)) {
      throw unsupported(path, `${rest.slice(0, 2)} inside brackets`);
    } else if (rest.startsWith("\\")) {
      if (/^\\[DWSAB]/.test(rest)) throw unsupported(path, `${rest.slice(0, 2)} inside brackets`);
      // Inside brackets Rust has no word boundary, and refuses it.
      if (/^\\[bz]/.test(rest)) throw unsupported(path, `${rest.slice(0, 2)} inside brackets`);
      const [escape, length] = translateEscape(rest, path);
      result += escape;
      at += length;
    } else {
      result += rest[0];
      at += 1;
    }
  }
  throw unsupported(path, "a bracket that is never closed");
}

function refuseStart(path: string): never {
  throw unsupported(path, "a repetition at its start");
}

function unsupported(path: string, what: string): FilterError {
  return new FilterError(
    `Chroma filter at ${path.slice(0, 200)}: the regular expression has ${what}, which Postgres does not do; write it another way.`,
    path,
  );
}
