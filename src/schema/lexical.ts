import { quoteIdentifier, quoteLiteral, quoteQualified } from "../db/identifiers.js";
import { LEXICAL_INDEX_SQL } from "./migrations.generated.js";
import { render, type Layout } from "./layout.js";
import { configurationOf, LANGUAGE_CODES } from "./lexical-languages.js";

/** How a store's lexical index splits texts into terms, and the parameters of BM25. Kept as the comment of its table. */
export interface LexicalSettings {
  /** Text search configuration, such as `english` or `public.my_words`. */
  readonly language: string;
  /** Metadata key under which a document names its own language. */
  readonly languageKey: string | undefined;
  /** Whether accents are removed from texts and queries. */
  readonly unaccent: boolean;
  readonly k1: number;
  readonly b: number;
}

/** As they are in the database. */
export interface StoredLexicalSettings extends LexicalSettings {
  /** Whether rows that were there before the index still wait for it. */
  readonly building: boolean;
}

/** The parameters with the best worst case over the reference collections; see docs/decisions/0013-lexical-index.md. */
export const LEXICAL_DEFAULTS: LexicalSettings = {
  language: "english",
  languageKey: undefined,
  unaccent: false,
  k1: 1.2,
  b: 0.6,
};

/**
 * Beginning of the names of collections whose rows nobody searches yet, such as those of an import. They are indexed when
 * they come to have another name.
 */
export const STAGING_PREFIX = "langchain-pgvector import ";

/** First half of the advisory locks under which a tenant's index is compacted. */
export const COMPACTION_LOCK = 0x6c_65_78_69;

/** The tables of a lexical index, the one with its settings first. */
export function lexicalTables(table: string): readonly [string, string, string] {
  return [`${table}_lexical`, `${table}_lexical_documents`, `${table}_lexical_segments`];
}

/** Quoted name of one of the functions or the sequence of a lexical index. */
export function lexicalName(schema: string, table: string, part: string): string {
  return quoteQualified(schema, `${table}_lexical_${part}`);
}

/** The row that a chunk is indexed from, for every use of the indexing function: its place in its segment, and its text. */
const PLACED = `
    select tenant_id, collection, id, content, config, (nth / 16384)::int4 as part, (nth % 16384)::int2 as number
    from (
      select *, row_number() over (partition by tenant_id, collection) - 1 as nth from (
        select n.tenant_id, n.collection, n.{{id}} as id, n.{{content}} as content, {{config}} as config
        {{from}}
      ) as texts
    ) as numbered`;

/** Values for the `{{names}}` of the lexical migrations: those of the store and their own. */
export function lexicalNames(
  names: Record<string, string>,
  schema: string,
  layout: Layout,
  settings: StoredLexicalSettings,
): Record<string, string> {
  const own = "case when count >= 128 then 30 else level end";
  const all = {
    ...names,
    ...lexicalObjects(schema, layout),
    lexicalLanguage: regconfig(settings.language),
    lexicalLock: String(COMPACTION_LOCK),
    lexicalFolded: settings.unaccent ? FOLDED : "content",
    lexicalKey: `((1 << ${own}) | (hashtext(term collate "C") & ((1 << ${own}) - 1)))`,
    lexicalLevel: "least(14, greatest(0, 2 * ceil(ln(greatest(total, 1) / 512.0) / ln(4.0))))::int4",
    lexicalSettings: settingsComment(settings),
    lexicalVisible: visible("old_rows"),
  };
  return { ...all, lexicalIndex: indexSql(all, settings) };
}

/** Quoted names of what a lexical index consists of in the database. */
export function lexicalObjects(schema: string, layout: Layout) {
  const [postings, documents, segments] = lexicalTables(layout.table);
  const named = (part: string): string => lexicalName(schema, layout.table, part);
  const sequence = named("segment");
  return {
    lexical: quoteQualified(schema, postings),
    lexicalDocuments: quoteQualified(schema, documents),
    lexicalSegments: quoteQualified(schema, segments),
    lexicalSequence: sequence,
    lexicalSequenceName: `${quoteLiteral(sequence)}::regclass`,
    lexicalConcat: named("concat"),
    lexicalCommon: named("common"),
    lexicalAmong: named("among"),
    lexicalWords: named("words"),
    lexicalTerms: named("terms"),
    lexicalMerge: named("merge"),
    lexicalSettle: named("settle"),
    lexicalAdd: named("add"),
    lexicalChange: named("change"),
    lexicalRemove: named("remove"),
    lexicalEmpty: named("empty"),
    lexicalBuild: named("build"),
  };
}

/** The trigger functions of a lexical index, as SQL writes their signatures. They have the rights of whoever writes. */
export function lexicalTriggerFunctions(schema: string, table: string): string[] {
  return ["add", "change", "remove", "empty"].map((part) => `${lexicalName(schema, table, part)}()`);
}

/** SQL that drops the functions of a store's lexical index, whose tables and triggers are gone. */
export function dropLexicalFunctions(schema: string, table: string): string {
  const drop = (kind: string, part: string, args: string): string =>
    `drop ${kind} if exists ${lexicalName(schema, table, part)}(${args});`;
  return [
    ...["add", "change", "remove", "empty"].map((part) => drop("function", part, "")),
    drop("function", "build", "text, text, text[]"),
    drop("function", "settle", "text, text"),
    drop("function", "merge", "text, text, int8[], bool"),
    drop("function", "terms", "regconfig, text"),
    drop("function", "words", "regconfig, text"),
    drop("function", "common", "int2[], int2[], int2[]"),
    drop("function", "among", "bit varying[], int4"),
    drop("aggregate", "concat", "anycompatiblearray"),
  ].join("\n");
}

/** The comment in which a lexical index keeps its settings, as a SQL literal. */
export function settingsComment(settings: StoredLexicalSettings): string {
  return quoteLiteral(JSON.stringify(settings));
}

/** The levels that {@link lexicalNames} gives to buckets, and the one of terms with a row of their own. */
export const KEY_LEVELS = "{0,2,4,6,8,10,12,14,30}";

/** Letters lose their combining marks; ASCII needs no work. */
const MARKS = Array.from({ length: 0x70 }, (_, i) => String.fromCodePoint(0x300 + i)).join("");
const FOLDED = `case when octet_length(content) = length(content) then content else translate(normalize(content, nfd), '${MARKS}', '') end`;

/** SQL that makes the three uses of the indexing function: for inserts, for updates, for rows that are there. */
function indexSql(names: Record<string, string>, settings: LexicalSettings): string {
  const config = (row: string): string => configSql(settings, `${row}.${names.metadata}`);
  const same =
    `o.tenant_id = n.tenant_id and o.collection = n.collection and o.${names.id} = n.${names.id} ` +
    `and o.${names.content} = n.${names.content}` +
    (settings.languageKey === undefined ? "" : ` and ${config("o")} = ${config("n")}`);
  const changed = `from new_rows n where ${visible("n")} and not exists (select from old_rows o where ${same})`;
  const settle = [
    "  for touched in select distinct tenant_id, collection from new_rows loop",
    `    perform ${names.lexicalSettle}(touched.tenant_id, touched.collection);`,
    "  end loop;",
    "  return null;",
  ].join("\n");
  const gone = [
    `  insert into ${names.lexicalSegments}`,
    `  select o.tenant_id, o.collection, nextval(${names.lexicalSequenceName}), 0, 0, count(*)`,
    `  from old_rows o where ${visible("o")} and not exists (select from new_rows n where ${same})`,
    "  group by o.tenant_id, o.collection;",
  ].join("\n");
  const use = (signature: string, returns: string, from: string, finish: string): string =>
    render(LEXICAL_INDEX_SQL, {
      ...names,
      function: signature,
      returns,
      finish,
      written: render(PLACED, { ...names, config: config("n"), from }),
    });
  return [
    use(`${names.lexicalAdd}()`, "trigger", `from new_rows n where ${visible("n")}`, settle),
    use(`${names.lexicalChange}()`, "trigger", changed, `${gone}\n${settle}`),
    use(
      `${names.lexicalBuild}(tenant text, place text, keys text[])`,
      "void",
      `from ${names.chunks} n where n.tenant_id = tenant and n.collection = place and n.${names.id} = any(keys)`,
      "",
    ),
  ].join("\n");
}

function visible(row: string): string {
  return `not starts_with(${row}.collection, ${quoteLiteral(STAGING_PREFIX)})`;
}

/** The text search configuration of a document, as SQL over its metadata. */
function configSql(settings: LexicalSettings, metadata: string): string {
  const fallback = regconfig(settings.language);
  if (settings.languageKey === undefined) return fallback;
  const names = [...new Set([...Object.values(LANGUAGE_CODES), "simple"])];
  const cases = [...names.map((name) => [name, name]), ...Object.entries(LANGUAGE_CODES)].map(
    ([value, name]) => `when ${quoteLiteral(value!)} then ${regconfig(name!)}`,
  );
  return `case ${metadata} ->> ${quoteLiteral(settings.languageKey)} ${cases.join(" ")} else ${fallback} end`;
}

/** A text search configuration as a SQL literal; the server refuses one that it does not have. */
export function regconfig(language: string): string {
  const parts = configurationOf(language).split(".");
  const name = parts.map(quoteIdentifier).join(".");
  return `${quoteLiteral(parts.length === 1 ? `pg_catalog.${name}` : name)}::regconfig`;
}
