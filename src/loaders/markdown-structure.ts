export interface Heading {
  /** Offset of the first character of the heading's line. */
  readonly start: number;
  /** Offset just behind the heading, its underline included. */
  readonly end: number;
  /** 1 to 6. */
  readonly level: number;
  readonly title: string;
  /** The heading that this one is below, if any. */
  readonly parent: Heading | undefined;
}

/** A part of the text that should stay in one piece: `start` inclusive, `end` exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface MarkdownStructure {
  /** Sorted by `start`. */
  readonly headings: readonly Heading[];
  /** Fenced code blocks and front matter, sorted, not overlapping. */
  readonly blocks: readonly Span[];
}

interface Line {
  readonly start: number;
  /** Behind the last character that is not part of the line end. */
  readonly end: number;
  readonly text: string;
}

type FlatHeading = Omit<Heading, "parent">;

const FENCE = /^\s*(`{3,}(?=[^`]*$)|~{3,})/;
const ATX = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
const UNDERLINE = /^ {0,3}(=+|-{2,})[ \t]*$/;
const NOT_A_SETEXT_TITLE = /^\s*(?:[-*+>#|<]|\d+[.)]\s|$)/;

/** Find headings (`#` and underlined) and fenced code blocks; a `#` inside a block is not a heading. One pass. */
export function scanMarkdown(text: string): MarkdownStructure {
  const headings: Heading[] = [];
  const blocks: Span[] = [];
  let open: { readonly start: number; readonly closes: (line: string) => boolean } | undefined;
  let previous: Line | undefined;
  let beforePrevious: Line | undefined;
  for (const line of linesOf(text)) {
    if (open !== undefined) {
      if (open.closes(line.text)) {
        blocks.push({ start: open.start, end: line.end });
        open = undefined;
      }
      previous = undefined;
      continue;
    }
    const heading = atxHeading(line) ?? setextHeading(beforePrevious, previous, line);
    const closes = line.start === 0 && /^---\s*$/.test(line.text) ? frontMatterEnd(text) : fenceEnd(line.text);
    if (closes !== undefined) open = { start: line.start, closes };
    else if (heading !== undefined) headings.push({ ...heading, parent: parentOf(heading, headings.at(-1)) });
    beforePrevious = previous;
    // A line that is itself a heading or opens a block cannot be the title above an underline.
    previous = closes === undefined && heading === undefined ? line : undefined;
  }
  if (open !== undefined) blocks.push({ start: open.start, end: text.length });
  return { headings, blocks };
}

/** The `title:` of the front matter, else the first heading of level 1, else the first heading at all. */
export function markdownTitle(text: string): string | undefined {
  const frontMatter = /^---[ \t]*\r?\n([\s\S]*?)\r?\n(?:---|\.\.\.)[ \t]*(?:\r?\n|$)/.exec(text)?.[1];
  const named = /^title:[ \t]*(["']?)(.+?)\1[ \t]*\r?$/m.exec(frontMatter ?? "")?.[2];
  if (named !== undefined) return named;
  const { headings } = scanMarkdown(text);
  const title = (headings.find((heading) => heading.level === 1) ?? headings[0])?.title;
  return title === "" ? undefined : title;
}

function parentOf(heading: FlatHeading, previous: Heading | undefined): Heading | undefined {
  let parent = previous;
  while (parent !== undefined && parent.level >= heading.level) parent = parent.parent;
  return parent;
}

function* linesOf(text: string): Generator<Line> {
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf("\n", start);
    const next = newline === -1 ? text.length : newline + 1;
    let end = newline === -1 ? text.length : newline;
    if (text[end - 1] === "\r" && end > start) end -= 1;
    yield { start, end, text: text.slice(start, end) };
    start = next;
  }
}

function fenceEnd(line: string): ((line: string) => boolean) | undefined {
  const fence = FENCE.exec(line)?.[1];
  if (fence === undefined) return undefined;
  const mark = fence.charAt(0);
  return (candidate) => {
    const trimmed = candidate.trim();
    return trimmed.length >= fence.length && trimmed === mark.repeat(trimmed.length);
  };
}

/** A `---` on the first line is front matter only when it is closed; otherwise it is a rule. */
function frontMatterEnd(text: string): ((line: string) => boolean) | undefined {
  return /\n(?:---|\.\.\.)[ \t]*\r?(?:\n|$)/.test(text) ? closesFrontMatter : undefined;
}

function closesFrontMatter(line: string): boolean {
  return /^(?:---|\.\.\.)\s*$/.test(line);
}

function atxHeading(line: Line): FlatHeading | undefined {
  const match = ATX.exec(line.text);
  if (match === null) return undefined;
  const title = (match[2] ?? "").replace(/(?:^|[ \t]+)#+[ \t]*$/, "");
  return { start: line.start, end: line.end, level: (match[1] ?? "#").length, title: plainTitle(title) };
}

/** One line of text underlined with `=` or `-`, with nothing above it that it would continue. */
function setextHeading(above: Line | undefined, title: Line | undefined, line: Line): FlatHeading | undefined {
  if (title === undefined || NOT_A_SETEXT_TITLE.test(title.text) || (above?.text ?? "").trim() !== "") return undefined;
  const underline = UNDERLINE.exec(line.text)?.[1];
  if (underline === undefined) return undefined;
  const level = underline.startsWith("=") ? 1 : 2;
  return { start: title.start, end: line.end, level, title: plainTitle(title.text) };
}

function plainTitle(markup: string): string {
  return markup
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/<[^>]*>|[`*]|\s*\{#[^}]*\}\s*$/g, "")
    .replace(/\s+/g, " ")
    .trim();
}
