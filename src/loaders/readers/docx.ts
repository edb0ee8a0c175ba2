import { readHtml } from "./html.js";
import type { RawSource, ReadOptions, Reading } from "./reading.js";
import { Zip } from "./zip.js";

/**
 * A Word file as one text: headings as `# ...`, table rows as `a | b`, footnotes at the end. Pictures count with their
 * alternative text only.
 */
export async function readDocx(raw: RawSource, options: ReadOptions): Promise<Reading> {
  const zip = await Zip.open(raw, options);
  await zip.verify();
  const { default: mammoth } = await import("mammoth");
  const { value: html } = await mammoth.convertToHtml(
    { buffer: raw.bytes },
    {
      externalFileAccess: false,
      convertImage: mammoth.images.imgElement(() => Promise.resolve({ src: "" })),
      styleMap: ["p[style-name='Title'] => h1:fresh", "p[style-name='Subtitle'] => p:fresh"],
    },
  );
  const { text, title } = readHtml(html);
  return { parts: [{ text }], metadata: title === undefined ? {} : { title } };
}
