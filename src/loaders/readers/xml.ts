import { DomUtils, parseDocument } from "htmlparser2";

type Document = ReturnType<typeof parseDocument>;
export type XmlElement = ReturnType<typeof DomUtils.getElementsByTagName>[number];

/** Parses XML. Entities of a document type are not expanded, so a short file cannot become a long one. */
export function parseXml(text: string): Document {
  return parseDocument(text, { xmlMode: true });
}

/** All elements of a name below a node, in the order of the document. The name is as written, with its prefix. */
export function elements(name: string, node: Document | XmlElement): XmlElement[] {
  return DomUtils.getElementsByTagName(name, node);
}

export function textOf(node: XmlElement | undefined): string {
  return node === undefined ? "" : DomUtils.textContent(node).trim();
}
