export interface MarkdownTable {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** The pipe tables of a Markdown text, with the backticks around whole cells removed. Cells hold no pipes. */
export function markdownTables(markdown: string): MarkdownTable[] {
  const tables: MarkdownTable[] = [];
  for (const block of markdown.split(/\n(?!\|)/)) {
    const lines = block.split("\n").filter((line) => line.startsWith("|"));
    const [header, , ...rows] = lines.map(cells);
    if (header !== undefined && rows.length > 0) tables.push({ header, rows });
  }
  return tables;
}

function cells(line: string): string[] {
  return line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim().replace(/^`(.*)`$/, "$1"));
}
