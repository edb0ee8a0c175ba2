/** The part of html-to-text that the HTML loader uses; the package ships no types. */
declare module "html-to-text" {
  export interface HtmlNode {
    readonly type: string;
    readonly name?: string;
    readonly data?: string;
    readonly attribs?: Readonly<Record<string, string>>;
    readonly children?: readonly HtmlNode[];
  }

  export interface TableCell {
    readonly text: string;
  }

  export interface BlockTextBuilder {
    addInline(text: string): void;
    openBlock(options?: { leadingLineBreaks?: number; isPre?: boolean }): void;
    closeBlock(options?: { trailingLineBreaks?: number; blockTransform?: (text: string) => string }): void;
    openTable(): void;
    openTableRow(): void;
    openTableCell(options?: { maxColumnWidth?: number }): void;
    closeTableCell(options?: { colspan?: number; rowspan?: number }): void;
    closeTableRow(): void;
    closeTable(options: {
      tableToString: (rows: readonly (readonly TableCell[])[]) => string;
      leadingLineBreaks?: number;
      trailingLineBreaks?: number;
    }): void;
  }

  export type Walk = (nodes: readonly HtmlNode[] | undefined, builder: BlockTextBuilder) => void;
  export type Formatter = (element: HtmlNode, walk: Walk, builder: BlockTextBuilder) => void;

  export interface CompileOptions {
    readonly wordwrap?: number | false;
    readonly limits?: { readonly maxInputLength?: number };
    readonly formatters?: Readonly<Record<string, Formatter>>;
    readonly selectors?: readonly {
      readonly selector: string;
      readonly format?: string;
      readonly options?: Readonly<Record<string, unknown>>;
    }[];
  }

  export function compile(options: CompileOptions): (html: string) => string;
}
