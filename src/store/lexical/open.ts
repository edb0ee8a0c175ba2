import { raw, type Sql } from "sql-template-tag";
import type { SchemaState } from "../../schema/inspect.js";
import type { Layout } from "../../schema/layout.js";
import { lexicalObjects, regconfig, type StoredLexicalSettings } from "../../schema/lexical.js";

/** The lexical index of an open store: its settings, and its names as fragments. */
export interface OpenLexical {
  readonly settings: StoredLexicalSettings;
  readonly postings: Sql;
  readonly documents: Sql;
  readonly segments: Sql;
  /** Functions: a text to its terms, chunks that are in several sets, the merging of segments, the indexing of rows that are there. */
  readonly words: Sql;
  readonly among: Sql;
  readonly merge: Sql;
  readonly build: Sql;
  /** The text search configuration of queries that name no other. */
  readonly config: Sql;
}

export function openLexical(state: SchemaState, layout: Layout): OpenLexical | undefined {
  if (state.lexical === undefined) return undefined;
  const { settings } = state.lexical;
  const names = lexicalObjects(state.schema, layout);
  return {
    settings,
    postings: raw(names.lexical),
    documents: raw(names.lexicalDocuments),
    segments: raw(names.lexicalSegments),
    words: raw(names.lexicalWords),
    among: raw(names.lexicalAmong),
    merge: raw(names.lexicalMerge),
    build: raw(names.lexicalBuild),
    config: raw(regconfig(settings.language)),
  };
}
