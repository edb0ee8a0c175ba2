/** A `ts` block of a Markdown file. */
export interface Snippet {
  /** Line of the file that the first line of the code stands on, from 1. */
  readonly line: number;
  readonly code: string;
  /** Whether the block comes after the comment `<!-- run -->`: it works alone, and CI runs it. */
  readonly run: boolean;
  /** What it prints: the `text` block that follows it. */
  readonly prints: string | undefined;
}

interface Block {
  readonly language: string;
  readonly line: number;
  readonly text: string;
  /** What stands between the block before and this one, trimmed. */
  readonly before: string;
}

/** The `ts` blocks of a Markdown text, in their order. Other languages are left out. */
export function markdownSnippets(markdown: string): Snippet[] {
  const blocks = fencedBlocks(markdown);
  return blocks.flatMap(({ language, line, text, before }, index) => {
    if (language !== "ts") return [];
    const next = blocks[index + 1];
    const prints = next?.language === "text" && next.before === "" ? next.text : undefined;
    return [{ line, code: text, run: before.endsWith("<!-- run -->"), prints }];
  });
}

/** Blocks between fences of backticks; a fence inside a longer one is text, and indentation of the fence is removed. */
function fencedBlocks(markdown: string): Block[] {
  const blocks: Block[] = [];
  const lines = markdown.split("\n");
  let before: string[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const [, indent, fence, language] = /^( *)(`{3,})(\w*)/.exec(lines[at]!) ?? [];
    if (indent === undefined || fence === undefined) {
      before.push(lines[at]!);
      continue;
    }
    const first = at + 1;
    for (at = first; at < lines.length && lines[at]!.trim() !== fence; at += 1);
    const text = lines.slice(first, at).map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line));
    blocks.push({
      language: language ?? "",
      line: first + 1,
      text: `${text.join("\n")}\n`,
      before: before.join("\n").trim(),
    });
    before = [];
  }
  return blocks;
}
