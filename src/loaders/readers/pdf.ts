/** The text of one page of a PDF file. Pages without text are left out. */
export interface PdfPage {
  readonly text: string;
  /** From 1. */
  readonly pageNumber: number;
}

export interface PdfText {
  readonly pages: readonly PdfPage[];
  /** Pages of the file, those without text included; 0 when no page has text. */
  readonly totalPages: number;
  readonly title?: string;
}

/**
 * Read the pages of a PDF file with LangChain's `PDFLoader`.
 *
 * The parser is imported at the first call: it takes seconds to load, which ingesting text files need not pay.
 *
 * @throws the parser's error when the file is no PDF, damaged, or encrypted.
 */
export async function readPdf(bytes: Uint8Array<ArrayBuffer>): Promise<PdfText> {
  const { PDFLoader } = await import("@langchain/community/document_loaders/fs/pdf");
  const documents = await new PDFLoader(new Blob([bytes])).load();
  const pages = documents.map((document) => ({
    text: document.pageContent.replaceAll("\0", ""),
    pageNumber: numberAt(document.metadata, "loc", "pageNumber"),
  }));
  const first = documents[0]?.metadata ?? {};
  const title = valueAt(first, "pdf", "info", "Title");
  return {
    pages,
    totalPages: numberAt(first, "pdf", "totalPages"),
    ...(typeof title === "string" && title.trim() !== "" ? { title: title.trim() } : {}),
  };
}

function numberAt(value: unknown, ...path: readonly string[]): number {
  const found = valueAt(value, ...path);
  return typeof found === "number" ? found : 0;
}

function valueAt(value: unknown, ...path: readonly string[]): unknown {
  let current = value;
  for (const key of path) {
    if (typeof current !== "object" || current === null) return undefined;
    current = (current as Record<string, unknown>)[key];
  }
  return current;
}
