import { Document } from "@langchain/core/documents";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AnswerFilter, REMOVED_QUOTE } from "../../src/chains/answer-filter.js";
import { findVerbatim } from "../../src/chains/quotations.js";

const CONTEXT = [
  new Document({ pageContent: "An HNSW index is a graph. Raise ef_search to 100\nfor better recall." }),
  new Document({ pageContent: "Back up the database with pg_dump. A restore rebuilds every index." }),
];

function filtered(answer: string, known: string[] = []): { text: string; removed: readonly string[] } {
  const filter = new AnswerFilter(CONTEXT, known);
  return { text: filter.push(answer) + filter.flush(), removed: filter.removed };
}

describe("AnswerFilter", () => {
  it("keeps quotations that a passage holds, whatever their white space and case", () => {
    const answer = 'It says "raise ef_search to 100 for better recall." [1] and “a restore rebuilds every index” [2].';
    expect(filtered(answer)).toEqual({ text: answer, removed: [] });
  });

  it("removes a quotation that no passage holds, with the marker that it had", () => {
    const { text, removed } = filtered(
      'The guide says "set ef_search to 9000 at once" [1][2]. Restores rebuild it [2].',
    );
    expect(text).toBe(`The guide says ${REMOVED_QUOTE}. Restores rebuild it [2].`);
    expect(removed).toEqual(["set ef_search to 9000 at once"]);
  });

  it("knows the words of the question, terms, inches and code", () => {
    const answer =
      'You asked about "vacuuming much faster today"; the "ef_search" setting of a 17" screen, `set x = "no such string here"`.';
    expect(filtered(answer, ["Is vacuuming much faster today?"])).toEqual({ text: answer, removed: [] });
    const fenced = '```js\nconst text = "some string that nobody wrote";\n```\nand [1]';
    expect(filtered(fenced)).toEqual({ text: fenced, removed: [] });
  });

  it("wants every part around an ellipsis, in order", () => {
    expect(filtered('"An HNSW index … better recall" [1]').removed).toEqual([]);
    expect(filtered('"better recall … An HNSW index" [1]').removed).toHaveLength(1);
  });

  it("takes out numbers that are no passages", () => {
    expect(filtered("a [1], b [0]. c [1, 5; 2] d [99999999999999999999] [x] [1-2]").text).toBe(
      "a [1], b. c [1, 2] d [x] [1-2]",
    );
  });

  it("lets everything but a quotation leave at once", () => {
    const filter = new AnswerFilter(CONTEXT);
    expect(filter.push("The")).toBe("The");
    expect(filter.push(' guide says "A restore')).toBe(" guide says");
    expect(filter.push(' rebuilds every index"')).toBe(' "A restore rebuilds every index"');
    expect(filter.push(" [2")).toBe("");
    expect(filter.push("].")).toBe(" [2].");
    expect(filter.flush()).toBe("");
  });

  it("makes the same of an answer however it is cut", () => {
    const piece = fc.constantFrom(
      "a",
      " ",
      "[",
      "]",
      "1",
      "7",
      ",",
      "[1]",
      " [7]",
      "\n",
      "[1, 7]",
      "[12345678901234567890",
      '"',
      "“",
      "”",
      "`",
      "```",
      "An HNSW index is a graph",
      "nobody wrote these words",
      "…",
      "(",
      ".",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        const filter = new AnswerFilter(CONTEXT);
        const streamed = pieces.map((text) => filter.push(text)).join("") + filter.flush();
        expect({ text: streamed, removed: filter.removed }).toEqual(filtered(pieces.join("")));
      }),
      { numRuns: 1_000 },
    );
  });

  it("never lets a forged quotation through", () => {
    const words = fc.array(fc.constantFrom("graph", "index", "restore", "payment", "is", "a", "the"), {
      minLength: 3,
      maxLength: 12,
    });
    fc.assert(
      fc.property(fc.array(words, { minLength: 1, maxLength: 4 }), (quotes) => {
        const answer = quotes.map((quote) => `It says "${quote.join(" ")}" [1].`).join(" ");
        for (const [, quote] of filtered(answer).text.matchAll(/"([^"]*)"/g)) {
          expect(CONTEXT.some(({ pageContent }) => findVerbatim(quote!, pageContent) !== undefined)).toBe(true);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe("findVerbatim", () => {
  it("finds words across invisible characters and says where", () => {
    const text = "x pay\u00adment of\u200b the bill y";
    const { start, end } = findVerbatim("Payment of the bill,", text)!;
    expect(text.slice(start, end)).toBe("pay\u00adment of\u200b the bill");
  });

  it("takes letters literally", () => {
    expect(findVerbatim("a.c (d)*", "abc (d)* a.c (d)*")).toEqual({ start: 9, end: 17 });
    expect(findVerbatim("a-z/[x]", "a-z/[x]")).toEqual({ start: 0, end: 7 });
  });
});
