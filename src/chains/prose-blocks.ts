import type { Span } from "./citation.js";

const FENCE = /^ {0,3}(```|~~~)(.*)$/;
const CODE_LINE = /^(?: {2,}|\t|[$#]|--|\/\/)|[;{}()[\],=>\\]\s*$/;
const HEADING = /^ {0,3}#{1,6}(?:\s|$)/;
const RULE = /^[\s|:=*_+-]*$/;
const UNDERLINE = /^ {0,3}(?:=+|-+)\s*$/;
const TABLE_ROW = /^\s*\|.*\|\s*$/;
const MARKUP_ONLY = /^\s*(?:<[^>]*>\s*|\[[^\]]*\]:\s*\S*.*|!\[[^\]]*\]\([^)]*\)\s*)$/;
const MARKER = /^\s*(?:>(?:\s+|(?=>)|$))*(?:(?:[-*+•]|\d{1,3}[.)])\s+(?:\[[ xX]\]\s+)?)?/;
const LIST_ITEM = /^\s*(?:>(?:\s+|(?=>)))*(?:[-*+•]|\d{1,3}[.)])\s/;

/**
 * Finds the running text of plain text or Markdown: paragraphs, list items and table rows, without bullet and quote
 * markers. Headings, code fences, rules and lone markup are left out. Never throws; linear in the length of the text.
 */
export function proseBlocksOf(text: string): Span[] {
  const blocks: Span[] = [];
  let block: { start: number; end: number } | undefined;
  let lineStart = 0;
  const close = (): void => {
    if (block && block.end > block.start) blocks.push(block);
    block = undefined;
  };

  const lines = text.split("\n");
  const inFence = fencedLines(lines);
  lines.forEach((line, number) => {
    const start = lineStart;
    lineStart += line.length + 1;
    const heading = HEADING.test(line) || isUnderlined(lines, number);
    if (heading || inFence[number] || RULE.test(line) || MARKUP_ONLY.test(line)) {
      close();
      return;
    }
    const row = TABLE_ROW.test(line);
    if (row || LIST_ITEM.test(line)) close();
    const indent = MARKER.exec(line)?.[0].length ?? 0;
    const from = row ? line.indexOf("|") + 1 : indent;
    const to = row ? line.lastIndexOf("|") : line.length;
    const end = start + from + line.slice(from, to).trimEnd().length;
    if (block) block.end = end;
    else block = { start: start + from + leadingSpace(line.slice(from, to)), end };
    if (row) close();
  });
  close();
  return blocks;
}

/** Which lines belong to a code fence, its delimiters included. */
function fencedLines(lines: readonly string[]): boolean[] {
  const fences = lines.map((line) => FENCE.exec(line));
  const delimiters = fences.filter((fence) => fence !== null);
  // A chunk cut inside a fence begins with the rest of the code, and its first delimiter closes.
  const first = fences.findIndex((fence) => fence !== null);
  const bare = fences[first]?.[2]?.trim() === "";
  let open = delimiters.length % 2 === 1 && bare && looksLikeCode(lines.slice(0, first));
  return fences.map((fence) => {
    if (!fence) return open;
    open = !open;
    return true;
  });
}

function looksLikeCode(lines: readonly string[]): boolean {
  const filled = lines.filter((line) => line.trim() !== "");
  return filled.filter((line) => CODE_LINE.test(line)).length * 2 > filled.length;
}

function isUnderlined(lines: readonly string[], number: number): boolean {
  const line = lines[number]!;
  const next = lines[number + 1];
  return (
    next !== undefined && line.trim() !== "" && UNDERLINE.test(next) && next.trim().length >= 3 && !RULE.test(line)
  );
}

function leadingSpace(text: string): number {
  return text.length - text.trimStart().length;
}
