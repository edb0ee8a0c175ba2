import type { DocumentInterface } from "@langchain/core/documents";
import { withoutUnknownMarkers } from "./citation-markers.js";
import { findVerbatim, isQuotation, quotationAt } from "./quotations.js";

/** What stands in an answer in place of a quotation that nobody wrote. */
export const REMOVED_QUOTE = "[quotation removed: no passage holds it]";

const SPACE = /\s*/y;
const PLAIN = /[^\s`["“«„]+/y;
const BACKTICKS = /`+/y;
const MARKER = /^\[\s*\d+(?:\s*[,;]\s*\d+)*\s*\]/;
const BEGUN_MARKER = /^\[[\d\s,;]*$/;
/** The longest text that can begin a marker; anything longer is none. */
const LONGEST_MARKER = 60;

/**
 * Takes out of a model's answer what nothing supports, as the answer streams: quotations that stand in no passage, and
 * numbers of passages that are not there. What is returned adds up to the checked answer, however the text was cut.
 *
 * A quotation is held back until it is complete, everything else leaves at once. Code is left as it is.
 */
export class AnswerFilter {
  readonly #passages: readonly string[];
  readonly #known: readonly string[];
  #text = "";
  /** What of `#text` has been dealt with. */
  #at = 0;
  /** The run of backticks that opened the code that the text is in. */
  #code: string | undefined;
  /** Whether the next marker belongs to a quotation that was removed. */
  #orphaned = false;
  readonly #removed: string[] = [];

  /** @param known texts besides the passages whose words may be repeated in quotation marks, such as the question */
  constructor(context: readonly DocumentInterface[], known: readonly string[] = []) {
    this.#passages = context.map(({ pageContent }) => pageContent);
    this.#known = known;
  }

  /** Quotations that were taken out so far, in their order. */
  get removed(): readonly string[] {
    return this.#removed;
  }

  /** Returns what may be shown so far. */
  push(text: string): string {
    this.#text += text;
    return this.#advance(false);
  }

  /** Returns the rest at the end of the answer. */
  flush(): string {
    return this.#advance(true);
  }

  #advance(ended: boolean): string {
    let shown = "";
    while (this.#at < this.#text.length) {
      const step = this.#step(ended);
      if (step === undefined) break;
      shown += step.shown;
      this.#at = step.end;
    }
    return shown;
  }

  /** The next piece of the text; `undefined` while what follows could change it. */
  #step(ended: boolean): { shown: string; end: number } | undefined {
    const text = this.#text;
    const at = this.#at;
    const space = matchAt(SPACE, text, at);
    const start = at + space.length;
    // A marker that goes takes the space in front of it along.
    if (start === text.length) return ended ? { shown: space, end: start } : undefined;
    const plain = matchAt(PLAIN, text, start);
    if (plain !== "") {
      if (/[\p{L}\p{N}]/u.test(plain)) this.#orphaned = false;
      return { shown: space + plain, end: start + plain.length };
    }
    const letter = text[start]!;
    if (letter === "`") return this.#backticks(space, start, ended);
    if (this.#code !== undefined) return { shown: space + letter, end: start + 1 };
    if (letter === "[") return this.#marker(space, start, ended);
    const quotation = quotationAt(text, start);
    if (quotation === "unfinished" && !ended) return undefined;
    if (typeof quotation === "object") return this.#quotation(space, text.slice(start, quotation.end), quotation);
    return { shown: space + letter, end: start + 1 };
  }

  #backticks(space: string, start: number, ended: boolean): { shown: string; end: number } | undefined {
    const run = matchAt(BACKTICKS, this.#text, start);
    const end = start + run.length;
    if (end === this.#text.length && !ended) return undefined;
    if (this.#code === undefined) this.#code = run;
    else if (this.#code === run) this.#code = undefined;
    return { shown: space + run, end };
  }

  #marker(space: string, start: number, ended: boolean): { shown: string; end: number } | undefined {
    const rest = this.#text.slice(start, start + LONGEST_MARKER);
    const marker = MARKER.exec(rest)?.[0];
    if (marker === undefined) {
      if (!ended && BEGUN_MARKER.test(rest) && rest.length < LONGEST_MARKER) return undefined;
      return { shown: `${space}[`, end: start + 1 };
    }
    const shown = this.#orphaned ? "" : withoutUnknownMarkers(space + marker, this.#passages.length);
    return { shown, end: start + marker.length };
  }

  #quotation(
    space: string,
    whole: string,
    { text, end }: { text: string; end: number },
  ): { shown: string; end: number } {
    const words = withoutUnknownMarkers(text, 0);
    if (!isQuotation(words) || [...this.#passages, ...this.#known].some((source) => findVerbatim(words, source))) {
      this.#orphaned = false;
      return { shown: space + withoutUnknownMarkers(whole, this.#passages.length), end };
    }
    this.#removed.push(words);
    this.#orphaned = true;
    return { shown: space + REMOVED_QUOTE, end };
  }
}

function matchAt(sticky: RegExp, text: string, at: number): string {
  sticky.lastIndex = at;
  return sticky.exec(text)?.[0] ?? "";
}
