import { compile } from "html-to-text";
import { headingFormatter, imageFormatter, preFormatter, tableFormatter } from "./html-formatters.js";

export interface HtmlText {
  /** The readable text: headings as `# ...`, preformatted blocks fenced, everything else as plain paragraphs. */
  readonly text: string;
  /** `<title>`, else the first heading. */
  readonly title?: string;
}

/** Elements without text for the reader of an answer. The two classes are the navigation bars of DocBook manuals. */
const DROPPED = [
  "script",
  "style",
  "nav",
  "noscript",
  "template",
  "svg",
  "iframe",
  "button",
  "select",
  "input",
  "textarea",
  '[role="navigation"]',
  "div.navheader",
  "div.navfooter",
];

const toText = compile({
  wordwrap: false,
  // The default cuts the input at 16 Mi characters and prints a warning; `maxFileBytes` is the limit here.
  limits: { maxInputLength: Number.MAX_SAFE_INTEGER },
  formatters: { headingFormatter, imageFormatter, preFormatter, tableFormatter },
  selectors: [
    { selector: "a", options: { ignoreHref: true } },
    { selector: "ul", options: { itemPrefix: "- " } },
    { selector: "img", format: "imageFormatter" },
    { selector: "pre", format: "preFormatter" },
    { selector: "table", format: "tableFormatter" },
    ...["h1", "h2", "h3", "h4", "h5", "h6"].map((selector) => ({ selector, format: "headingFormatter" })),
    ...DROPPED.map((selector) => ({ selector, format: "skip" })),
  ],
});

/** Turn an HTML page into text. Scripts, styles and navigation are dropped; link targets are not kept. */
export function readHtml(html: string): HtmlText {
  const text = toText(html).replaceAll("\0", "");
  const title = titleElement(html) ?? /^#{1,6} (.+)$/m.exec(text)?.[1];
  return title === undefined ? { text } : { text, title };
}

function titleElement(html: string): string | undefined {
  const head = html.slice(0, html.search(/<body[\s>]/i) >>> 0);
  const content = /<title[^>]*>([\s\S]*?)<\/title>/i.exec(head.replace(/<!--[\s\S]*?-->/g, ""))?.[1];
  // The converter decodes the entities, and a title cannot hold elements.
  const title = content === undefined ? "" : toText(content.replaceAll("<", "&lt;")).replace(/\s+/g, " ").trim();
  return title === "" ? undefined : title;
}
