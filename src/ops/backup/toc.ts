import type { DatabaseManifest } from "./manifest.js";

/**
 * The stages of a restore. Row-level security comes after the rows, since COPY refuses a table that has it to whoever it
 * binds, and before the grants: no application sees a table before its policies do.
 */
export const STAGES = ["structure", "rows", "security", "indexes", "grants"] as const;
export type Stage = (typeof STAGES)[number];

/** Lines of the list of contents, for `pg_restore --use-list`, by stage. */
export type StagedContents = Readonly<Record<Stage, readonly string[]>>;

const STAGE_OF: readonly (readonly [string, Stage])[] = [
  ["TEXT SEARCH", "structure"],
  ["TABLE DATA", "rows"],
  ["TABLE ATTACH", "structure"],
  ["TABLE", "structure"],
  ["SEQUENCE SET", "rows"],
  ["SEQUENCE OWNED BY", "structure"],
  ["SEQUENCE", "structure"],
  ["DEFAULT", "structure"],
  ["POLICY", "security"],
  ["ROW SECURITY", "security"],
  ["CHECK CONSTRAINT", "indexes"],
  ["FK CONSTRAINT", "indexes"],
  ["CONSTRAINT", "indexes"],
  ["INDEX ATTACH", "indexes"],
  ["INDEX", "indexes"],
  ["STATISTICS", "indexes"],
  ["TRIGGER", "indexes"],
];

const COMMENT_STAGES: Readonly<Record<string, Stage>> = {
  TABLE: "structure",
  COLUMN: "structure",
  SEQUENCE: "structure",
  FUNCTION: "structure",
  AGGREGATE: "structure",
  POLICY: "security",
  INDEX: "indexes",
  CONSTRAINT: "indexes",
  TRIGGER: "indexes",
};

/**
 * Sorts the list of contents that `pg_restore --list` prints, `id; catalog oid KIND schema name owner`, into stages. What
 * the library has not made is left out: functions of others, and the schema and the extension, which restore makes itself.
 */
export function stageContents(list: string, manifest: Pick<DatabaseManifest, "functions" | "schema">): StagedContents {
  const stages: Record<Stage, string[]> = { structure: [], rows: [], security: [], indexes: [], grants: [] };
  const functions = new Set(manifest.functions.map(({ oid }) => oid));
  for (const line of list.split("\n")) {
    const [, oid, entry] = /^\d+; \d+ (\d+) (.*)$/.exec(line) ?? [];
    if (oid === undefined || entry === undefined) continue;
    const stage = stageOf(entry, oid, functions, manifest);
    if (stage !== undefined) stages[stage].push(line);
  }
  return stages;
}

function stageOf(
  entry: string,
  oid: string,
  functions: ReadonlySet<string>,
  { schema, functions: ours }: Pick<DatabaseManifest, "functions" | "schema">,
): Stage | undefined {
  if (/^(FUNCTION|AGGREGATE|PROCEDURE) /.test(entry)) return functions.has(oid) ? "structure" : undefined;
  const [, about, kind = "", name = ""] =
    new RegExp(`^(COMMENT|ACL) (?:${escape(schema)}|-) (\\w+) (.*)$`).exec(entry) ?? [];
  if (about !== undefined) {
    if (kind === "FUNCTION" || kind === "AGGREGATE") {
      const known = ours.some(({ signature }) => name.startsWith(unqualified(signature)));
      return known ? (about === "ACL" ? "grants" : "structure") : undefined;
    }
    return about === "ACL" ? "grants" : COMMENT_STAGES[kind];
  }
  return STAGE_OF.find(([text]) => entry.startsWith(`${text} `))?.[1];
}

/** `schema.name(arguments)` without its schema and its arguments. */
function unqualified(signature: string): string {
  const name = signature.slice(0, signature.indexOf("(") + 1);
  return name.slice(name.lastIndexOf(".") + 1).replaceAll('"', "");
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
