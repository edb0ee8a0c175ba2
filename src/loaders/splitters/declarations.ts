import { RecursiveCharacterTextSplitter } from "@langchain/textsplitters";
import { extname } from "node:path";
import type { Heading } from "../markdown-structure.js";

type Language = Parameters<typeof RecursiveCharacterTextSplitter.getSeparatorsForLanguage>[0];

const LANGUAGES: Readonly<Record<Language, readonly string[]>> = {
  js: [".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx", ".vue", ".svelte"],
  python: [".py"],
  go: [".go"],
  rust: [".rs"],
  java: [".java", ".kt", ".kts", ".cs", ".dart"],
  cpp: [".c", ".h", ".cc", ".cpp", ".cxx", ".hpp"],
  ruby: [".rb"],
  php: [".php"],
  scala: [".scala"],
  swift: [".swift"],
  proto: [".proto"],
  sol: [".sol"],
  rst: [".rst"],
  latex: [".tex"],
  markdown: [],
  html: [],
};

const LANGUAGE_BY_EXTENSION = new Map(
  Object.entries(LANGUAGES).flatMap(([language, extensions]) =>
    extensions.map((extension) => [extension, language as Language] as const),
  ),
);

/** Words that begin a statement, not something that has a name. */
const STATEMENTS = /^(?:if|for|while|switch|case|default|loop|match|unless|do|begin|rescue|foreach)\b/;
/** Modifiers that the separators of LangChain do not have. */
const MODIFIERS =
  "(?:(?:export|default|async|pub(?:\\([a-z]+\\))?|public|abstract|static|final|unsafe|inline|extern)\\s+)*";
const LEADING = /^\s*(?:\/\/|\/?\*|#|@|---|--)/;

/**
 * Where a file of source code is best cut: at the lines that begin a declaration of its language, with the comments and
 * decorators directly above them. None for a language that is not known.
 *
 * @param source a path or URL, for its extension.
 */
export function declarations(text: string, source: string): Heading[] {
  const language = LANGUAGE_BY_EXTENSION.get(extname(source).toLowerCase());
  if (language === undefined) return [];
  const words = RecursiveCharacterTextSplitter.getSeparatorsForLanguage(language)
    .filter((separator) => separator.startsWith("\n") && separator.trim() !== "")
    .map((separator) => separator.trim())
    .filter((word) => !STATEMENTS.test(word));
  if (words.length === 0) return [];
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(
    `^[ \\t]{0,4}${MODIFIERS}(?:${escaped.join("|")}|interface|type|enum|struct|impl|trait)[ \\t{]`,
  );
  const found: Heading[] = [];
  let start = 0;
  /** Start of the comments and decorators above the current line, if it follows them. */
  let above: number | undefined;
  for (const line of text.split("\n")) {
    if (pattern.test(line)) {
      const from = above ?? start;
      found.push({ start: from, end: start + line.length, level: 1, title: "", parent: undefined });
      above = undefined;
    } else if (LEADING.test(line)) {
      above ??= start;
    } else {
      above = undefined;
    }
    start += line.length + 1;
  }
  return found;
}
