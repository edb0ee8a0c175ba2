import { parse } from "yaml";

const FRONT_MATTER = /^---[ \t]*\r?\n([\s\S]*?)\r?\n(?:---|\.\.\.)[ \t]*(?:\r?\n|$)/;
/** More than this is no description of a document; it would be stored with each of its chunks. */
const MAX_CHARACTERS = 8_192;

/**
 * The fields of a Markdown file's front matter, as JSON can hold them; `undefined` when it has none.
 *
 * @throws the parser's error when it is no YAML, and a RangeError when it is long.
 */
export function readFrontMatter(text: string): Record<string, unknown> | undefined {
  const yaml = FRONT_MATTER.exec(text)?.[1];
  if (yaml === undefined) return undefined;
  if (yaml.length > MAX_CHARACTERS) throw new RangeError(`it has more than ${MAX_CHARACTERS} characters`);
  const value: unknown = parse(yaml, { maxAliasCount: 10, logLevel: "error" });
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const json = JSON.stringify(value);
  if (json.length > MAX_CHARACTERS) throw new RangeError(`it has more than ${MAX_CHARACTERS} characters`);
  return JSON.parse(json) as Record<string, unknown>;
}
