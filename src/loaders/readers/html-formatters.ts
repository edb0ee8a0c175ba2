import type { BlockTextBuilder, Formatter, HtmlNode, TableCell, Walk } from "html-to-text";

const LONG_CELL_CHARACTERS = 300;

/** `<h2>` becomes `## ...`, so that the splitter finds the sections of a page as it finds those of a Markdown file. */
export const headingFormatter: Formatter = (element, walk, builder) => {
  if (!hasText(element)) return;
  const level = Number(element.name?.slice(1)) || 1;
  builder.openBlock({ leadingLineBreaks: 2 });
  walk(element.children, builder);
  builder.closeBlock({
    trailingLineBreaks: 2,
    blockTransform: (text) => (text.trim() === "" ? "" : `${"#".repeat(level)} ${oneLine(text)}`),
  });
};

/** `<pre>` becomes a fenced block, so that a `#` in a shell example is no heading and short examples stay in one chunk. */
export const preFormatter: Formatter = (element, walk, builder) => {
  builder.openBlock({ leadingLineBreaks: 2, isPre: true });
  walk(element.children, builder);
  builder.closeBlock({ trailingLineBreaks: 2, blockTransform: fenced });
};

/** An image counts with its alternative text only; its address means nothing to a reader of the text. */
export const imageFormatter: Formatter = (element, _walk, builder) => {
  builder.addInline(element.attribs?.alt ?? "");
};

/**
 * One line per row with ` | ` between the cells. Aligned columns would fill chunks with blanks, and no separator at all
 * would run the words of two cells together. Rows with long cells come from tables used for layout: their cells stay
 * blocks of their own.
 */
export const tableFormatter: Formatter = (element, walk, builder) => {
  builder.openTable();
  for (const child of element.children ?? []) addTablePart(child, walk, builder);
  builder.closeTable({ tableToString: tableText, leadingLineBreaks: 2, trailingLineBreaks: 2 });
};

function addTablePart(node: HtmlNode, walk: Walk, builder: BlockTextBuilder): void {
  if (node.type !== "tag") return;
  if (node.name === "tr") addTableRow(node, walk, builder);
  else if (node.name === "caption") addCells([node], walk, builder);
  else for (const child of node.children ?? []) addTablePart(child, walk, builder);
}

function addTableRow(row: HtmlNode, walk: Walk, builder: BlockTextBuilder): void {
  addCells(
    (row.children ?? []).filter((cell) => cell.name === "td" || cell.name === "th"),
    walk,
    builder,
  );
}

function addCells(cells: readonly HtmlNode[], walk: Walk, builder: BlockTextBuilder): void {
  builder.openTableRow();
  for (const cell of cells) {
    builder.openTableCell();
    walk(cell.children, builder);
    builder.closeTableCell();
  }
  builder.closeTableRow();
}

function tableText(rows: readonly (readonly TableCell[])[]): string {
  return rows.map(rowText).filter(Boolean).join("\n");
}

function rowText(cells: readonly TableCell[]): string {
  const texts = cells.map((cell) => cell.text);
  if (texts.every((text) => text.trim() === "")) return "";
  if (texts.some((text) => text.length > LONG_CELL_CHARACTERS || text.includes("```"))) return texts.join("\n\n");
  return texts.map(oneLine).join(" | ");
}

function hasText(node: HtmlNode): boolean {
  return /\S/.test(node.data ?? node.attribs?.alt ?? "") || (node.children ?? []).some(hasText);
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

function fenced(text: string): string {
  const body = text.replace(/^\s*\n|\s+$/g, "");
  if (body === "") return "";
  const longest = Math.max(2, ...[...body.matchAll(/`{3,}/g)].map((run) => run[0].length));
  const fence = "`".repeat(longest + 1);
  return `${fence}\n${body}\n${fence}`;
}
