import { basename, extname } from "node:path";

/**
 * How a source is read, and what `metadata.format` says. `code` is everything that is read as plain text but made of lines
 * rather than of prose: source code, configuration. `table` is CSV and TSV.
 */
export type DocumentFormat =
  "text" | "markdown" | "html" | "pdf" | "docx" | "pptx" | "epub" | "table" | "json" | "jsonl" | "subtitles" | "code";

const EXTENSIONS: Readonly<Record<DocumentFormat, readonly string[]>> = {
  text: [".txt", ".text", ".log", ".rst", ".adoc", ".asciidoc", ".org", ".tex"],
  markdown: [".md", ".markdown", ".mdx"],
  html: [".html", ".htm", ".xhtml"],
  pdf: [".pdf"],
  docx: [".docx"],
  pptx: [".pptx"],
  epub: [".epub"],
  table: [".csv", ".tsv"],
  json: [".json"],
  jsonl: [".jsonl", ".ndjson"],
  subtitles: [".srt", ".vtt"],
  code: [
    [".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx", ".vue", ".svelte", ".css", ".scss", ".less"],
    [".py", ".rb", ".php", ".pl", ".lua", ".r", ".jl", ".sh", ".bash", ".zsh", ".fish", ".ps1", ".bat"],
    [".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".cs", ".go", ".rs", ".swift", ".java", ".kt", ".kts", ".scala"],
    [".clj", ".ex", ".exs", ".erl", ".hs", ".ml", ".fs", ".dart", ".zig", ".sol", ".proto", ".graphql", ".sql"],
    [".json5", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".properties"],
    [".xml", ".diff", ".patch", ".cmake", ".gradle", ".tf"],
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

export const DOCUMENT_FORMATS = Object.keys(EXTENSIONS) as readonly DocumentFormat[];

/** Every extension that `loadDocuments` reads: lower case, with the dot, sorted. */
export const SUPPORTED_EXTENSIONS: readonly string[] = [...FORMAT_BY_EXTENSION.keys()].toSorted();

/** The format of a file by its name alone, or `undefined` when the loaders cannot read it. */
export function formatOf(path: string): DocumentFormat | undefined {
  const name = basename(path).toLowerCase();
  if (TEXT_NAMES.has(name)) return "text";
  if (CODE_NAMES.has(name)) return "code";
  return FORMAT_BY_EXTENSION.get(extname(name));
}

const FORMAT_BY_MEDIA_TYPE: ReadonlyMap<string, DocumentFormat> = new Map([
  ["text/html", "html"],
  ["application/xhtml+xml", "html"],
  ["text/markdown", "markdown"],
  ["application/pdf", "pdf"],
  ["application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"],
  ["application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"],
  ["application/epub+zip", "epub"],
  ["text/csv", "table"],
  ["text/tab-separated-values", "table"],
  ["application/json", "json"],
  ["application/x-ndjson", "jsonl"],
  ["application/jsonl", "jsonl"],
  ["text/vtt", "subtitles"],
  ["application/x-subrip", "subtitles"],
]);

/** The format of a web page by its media type; by the end of its address where the type says little. */
export function formatOfPage(mediaType: string, path: string): DocumentFormat | undefined {
  const known = FORMAT_BY_MEDIA_TYPE.get(mediaType);
  if (known !== undefined) return known;
  return formatOf(path) ?? (mediaType.startsWith("text/") ? "text" : undefined);
}
