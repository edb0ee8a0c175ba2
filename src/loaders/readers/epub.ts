import { posix } from "node:path";
import { LoadError } from "../../errors.js";
import { readHtml } from "./html.js";
import type { Part, RawSource, ReadOptions, Reading } from "./reading.js";
import { elements, parseXml, textOf } from "./xml.js";
import { Zip } from "./zip.js";

/**
 * The chapters of a book in reading order: a part for each file of its spine that has text.
 *
 * @see https://www.w3.org/TR/epub-33/#sec-package-doc
 */
export async function readEpub(raw: RawSource, options: ReadOptions): Promise<Reading> {
  const zip = await Zip.open(raw, options);
  const container = await zip.text("META-INF/container.xml");
  const packagePath = elements("rootfile", parseXml(container ?? ""))[0]?.attribs["full-path"];
  const packageText = packagePath === undefined ? undefined : await zip.text(packagePath);
  if (packagePath === undefined || packageText === undefined) {
    throw new LoadError(`"${raw.source}" is no EPUB book: it names no package file.`, raw.source);
  }
  const book = parseXml(packageText);
  const paths = new Map(elements("item", book).map(({ attribs }) => [attribs["id"], attribs["href"]]));
  const parts: Part[] = [];
  const notes: string[] = [];
  const spine = elements("itemref", book);
  for (const [index, { attribs }] of spine.entries()) {
    const href = paths.get(attribs["idref"]);
    if (href === undefined) continue;
    const html = await zip.text(posix.join(posix.dirname(packagePath), decodeURIComponent(href)));
    if (html === undefined) {
      notes.push(`"${raw.source}" lacks its chapter ${href}.`);
      continue;
    }
    const { text } = readHtml(html);
    if (text.trim() !== "") parts.push({ text, metadata: { chapter: index + 1 } });
  }
  const [title, author] = ["dc:title", "dc:creator"].map((name) => textOf(elements(name, book)[0]));
  return {
    parts,
    notes,
    metadata: {
      ...(title !== "" && { title }),
      ...(author !== "" && { author }),
      epub: { totalChapters: spine.length },
    },
  };
}
