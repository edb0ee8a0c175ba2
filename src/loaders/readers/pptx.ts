import { posix } from "node:path";
import { LoadError } from "../../errors.js";
import type { Part, RawSource, ReadOptions, Reading } from "./reading.js";
import { elements, parseXml, textOf, type XmlElement } from "./xml.js";
import { Zip } from "./zip.js";

/**
 * The slides of a presentation in their order: the title as a heading, paragraphs, table rows as `a | b`, and the
 * speaker's notes under a heading of their own.
 */
export async function readPptx(raw: RawSource, options: ReadOptions): Promise<Reading> {
  const zip = await Zip.open(raw, options);
  const presentation = await zip.text("ppt/presentation.xml");
  if (presentation === undefined) {
    throw new LoadError(`"${raw.source}" is no PowerPoint file: it has no presentation.`, raw.source);
  }
  const targets = await relations(zip, "ppt/presentation.xml");
  const slides = elements("p:sldId", parseXml(presentation)).map(({ attribs }) => targets.get(attribs["r:id"] ?? ""));
  const parts: Part[] = [];
  for (const [index, slide] of slides.entries()) {
    const text = slide === undefined ? "" : await slideText(zip, slide.path);
    if (text !== "") parts.push({ text, metadata: { loc: { pageNumber: index + 1 } } });
  }
  const properties = (await zip.text("docProps/core.xml")) ?? "";
  const title = textOf(elements("dc:title", parseXml(properties))[0]);
  return { parts, metadata: { ...(title !== "" && { title }), pptx: { totalSlides: slides.length } } };
}

async function slideText(zip: Zip, path: string): Promise<string> {
  const blocks = bodyBlocks((await zip.text(path)) ?? "");
  const targets = [...(await relations(zip, path)).values()];
  const notesPath = targets.find(({ type }) => type.endsWith("/notesSlide"))?.path;
  const notes = notesPath === undefined ? [] : bodyBlocks((await zip.text(notesPath)) ?? "");
  return [...blocks, ...(notes.length > 0 ? ["## Notes", ...notes] : [])].join("\n\n");
}

/** Texts of the shapes and tables of a slide, those that repeat on every slide left out. */
function bodyBlocks(xml: string): string[] {
  const slide = parseXml(xml);
  const shapes = elements("p:sp", slide).map((shape) => {
    const kind = elements("p:ph", shape)[0]?.attribs["type"];
    if (kind === "sldNum" || kind === "dt" || kind === "ftr") return "";
    const text = paragraphs(shape).join("\n");
    return (kind === "title" || kind === "ctrTitle") && text !== "" ? `# ${text.replaceAll("\n", " ")}` : text;
  });
  const tables = elements("a:tbl", slide).map((table) =>
    elements("a:tr", table)
      .map((row) =>
        elements("a:tc", row)
          .map((cell) => paragraphs(cell).join(" "))
          .join(" | "),
      )
      .join("\n"),
  );
  return [...shapes, ...tables].filter((text) => text !== "");
}

function paragraphs(node: XmlElement): string[] {
  return elements("a:p", node)
    .map((paragraph) =>
      elements("a:t", paragraph)
        .map((run) => textContent(run))
        .join(""),
    )
    .map((text) => text.trim())
    .filter((text) => text !== "");
}

function textContent(run: XmlElement): string {
  return run.children.map((child) => ("data" in child ? child.data : "")).join("");
}

/** What a part of the package refers to, by the ids it uses. */
async function relations(zip: Zip, path: string): Promise<Map<string, { path: string; type: string }>> {
  const folder = posix.dirname(path);
  const xml = (await zip.text(`${folder}/_rels/${posix.basename(path)}.rels`)) ?? "";
  return new Map(
    elements("Relationship", parseXml(xml)).map(({ attribs }) => [
      attribs["Id"] ?? "",
      { path: posix.join(folder, attribs["Target"] ?? "").replace(/^\//, ""), type: attribs["Type"] ?? "" },
    ]),
  );
}
