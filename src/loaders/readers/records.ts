import { parse } from "csv-parse/sync";
import { LoadError } from "../../errors.js";
import type { Part, RawSource, Reading } from "./reading.js";

/** How rows of tables and JSON records become documents. */
export interface RecordOptions {
  /** Fields whose values make the text, in this order. @defaultValue all, as `field: value` lines */
  readonly text?: readonly string[];
  /** Fields that go into `metadata.fields`. @defaultValue those with at most 200 characters */
  readonly metadata?: readonly string[];
  /** Whether the first row of a CSV file names the fields. @defaultValue guessed: no number or date among its cells */
  readonly header?: boolean;
}

type Scalar = string | number | boolean | null;
type Fields = readonly (readonly [name: string, value: Scalar])[];

const SHORT = 200;
/** Numbers, dates, hashes and addresses; nobody names a column so. */
const DATA = /^[-+\d.,:%/ T]*\d[-+\d.,:%/ TZ]*$|^[0-9a-f]{16,}$|@|:\/\//i;

/**
 * A part for each row of a CSV or TSV file. Without names its fields are `column1`, `column2` and so on.
 *
 * @throws LoadError naming the line that cannot be parsed.
 */
export function readTable(raw: RawSource, text: string, options: RecordOptions = {}): Reading {
  let rows: string[][];
  try {
    rows = parse(text, {
      delimiter: /\.tsv$/i.test(raw.source) ? "\t" : delimiterOf(text),
      relax_column_count: true,
      relax_quotes: true,
      skip_empty_lines: true,
      trim: true,
    });
  } catch (error) {
    throw new LoadError(`"${raw.source}" cannot be read as a table: ${messageOf(error)}`, raw.source, { cause: error });
  }
  const named = options.header ?? looksLikeNames(rows);
  const names = named ? (rows[0] ?? []) : [];
  const body = named ? rows.slice(1) : rows;
  const parts = body.map((row, index) => {
    const fields = row.map((value, at) => [names[at] || `column${at + 1}`, value] as const);
    return toPart(fields, { row: index + 1 }, options, named);
  });
  return { parts: withText(parts), metadata: named ? { columns: names } : {} };
}

/**
 * A part for each line of a JSON Lines file.
 *
 * @throws LoadError naming the line that is no JSON.
 */
export function readJsonLines(raw: RawSource, text: string, options: RecordOptions = {}): Reading {
  const parts: Part[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    try {
      parts.push(toPart(flatten(JSON.parse(line)), { row: index + 1 }, options, true));
    } catch (cause) {
      const message = `"${raw.source}" has no JSON in line ${index + 1}: ${messageOf(cause)}`;
      throw new LoadError(message, raw.source, { cause });
    }
  }
  return { parts: withText(parts) };
}

/** A part for each object of a JSON file that is a list of them; any other JSON stays the text that it is. */
export function readJson(raw: RawSource, text: string, options: RecordOptions = {}): Reading {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Settings files of editors and compilers have comments; as text they can be searched all the same.
    return { parts: [{ text }], notes: [`"${raw.source}" is no valid JSON; it was read as plain text.`] };
  }
  if (!Array.isArray(value) || value.length === 0 || !value.every((item) => isRecord(item)))
    return { parts: [{ text }] };
  return { parts: withText(value.map((item, index) => toPart(flatten(item), { row: index + 1 }, options, true))) };
}

function toPart(fields: Fields, place: { row: number }, options: RecordOptions, named: boolean): Part {
  const texts = fields.map(([name, value]) => [name, value === null ? "" : String(value)] as const);
  const chosen = options.text?.flatMap((name) => texts.filter(([field]) => field === name)) ?? texts;
  const filled = chosen.filter(([, value]) => value.trim() !== "");
  const labelled = named && options.text === undefined;
  const text = labelled
    ? filled.map(([name, value]) => (name === "" ? value : `${name}: ${value}`)).join("\n")
    : filled.map(([, value]) => value).join(named ? "\n\n" : "\n");
  const kept = fields.filter(([name, value]) =>
    options.metadata === undefined ? String(value).length <= SHORT : options.metadata.includes(name),
  );
  // fromEntries defines a field named "__proto__" like any other.
  return { text, metadata: { ...place, ...(kept.length > 0 && { fields: Object.fromEntries(kept) }) } };
}

function withText(parts: readonly Part[]): Part[] {
  return parts.filter(({ text }) => text.trim() !== "");
}

/** Nested values under dotted names, `a.b` and `a.0`. */
function flatten(value: unknown, path = ""): Fields {
  if (typeof value !== "object" || value === null) return [[path, value as Scalar]];
  return Object.entries(value).flatMap(([key, inner]) => flatten(inner, path === "" ? key : `${path}.${key}`));
}

function looksLikeNames(rows: readonly (readonly string[])[]): boolean {
  const [first, second] = rows;
  if (first === undefined || second === undefined) return false;
  const distinct = new Set(first).size === first.length;
  return distinct && first.every((cell) => cell !== "" && cell.length <= 80 && !DATA.test(cell));
}

/** The separator that the first line has most of. */
function delimiterOf(text: string): string {
  const line = text.slice(0, text.indexOf("\n") >>> 0);
  const count = (mark: string): number => line.split(mark).length;
  return [",", ";", "\t", "|"].reduce((best, mark) => (count(mark) > count(best) ? mark : best));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
