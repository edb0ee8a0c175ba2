import { basename, extname } from "node:path";

/**
 * How a file is read, and what `metadata.format` says. `code` is everything that is read as plain text but made of lines
 * rather than of prose: source code, configuration, data.
 */
export type DocumentFormat = "text" | "markdown" | "html" | "pdf" | "code";

const EXTENSIONS: Readonly<Record<DocumentFormat, readonly string[]>> = {
  text: [".txt", ".text", ".log", ".rst", ".adoc", ".asciidoc", ".org", ".tex"],
  markdown: [".md", ".markdown", ".mdx"],
  html: [".html", ".htm", ".xhtml"],
  pdf: [".pdf"],
  code: [
    [".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx", ".vue", ".svelte", ".css", ".scss", ".less"],
    [".py", ".rb", ".php", ".pl", ".lua", ".r", ".jl", ".sh", ".bash", ".zsh", ".fish", ".ps1", ".bat"],
    [".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".cs", ".go", ".rs", ".swift", ".java", ".kt", ".kts", ".scala"],
    [".clj", ".ex", ".exs", ".erl", ".hs", ".ml", ".fs", ".dart", ".zig", ".sol", ".proto", ".graphql", ".sql"],
    [".json", ".jsonl", ".ndjson", ".json5", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".properties"],
    [".csv", ".tsv", ".xml", ".diff", ".patch", ".cmake", ".gradle", ".tf"],
  ].flat(),
};

/** Files that are text by convention although their name has no extension, in lower case. */
const TEXT_NAMES: ReadonlySet<string> = new Set(["readme", "license", "licence", "copying", "changelog", "notice"]);
const CODE_NAMES: ReadonlySet<string> = new Set(["makefile", "dockerfile", "jenkinsfile", "gemfile", "rakefile"]);

const FORMAT_BY_EXTENSION: ReadonlyMap<string, DocumentFormat> = new Map(
  Object.entries(EXTENSIONS).flatMap(([format, extensions]) =>
    extensions.map((extension) => [extension, format as DocumentFormat] as const),
  ),
);

/** Every extension that `loadDocuments` reads: lower case, with the dot, sorted. */
export const SUPPORTED_EXTENSIONS: readonly string[] = [...FORMAT_BY_EXTENSION.keys()].toSorted();

/** The format of a file by its name alone, or `undefined` when the loaders cannot read it. */
export function formatOf(path: string): DocumentFormat | undefined {
  const name = basename(path).toLowerCase();
  if (TEXT_NAMES.has(name)) return "text";
  if (CODE_NAMES.has(name)) return "code";
  return FORMAT_BY_EXTENSION.get(extname(name));
}
