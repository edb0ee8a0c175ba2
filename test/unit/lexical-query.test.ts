import fc from "fast-check";
import { expect, it } from "vitest";
import { parseLexicalQuery } from "../../src/store/lexical/query.js";
import { editDistance } from "../../src/store/lexical/vocabulary.js";

const word = (text: string) => ({ text, phrase: false });
const phrase = (text: string) => ({ text, phrase: true });

it("leaves a question as it is", () => {
  expect(parseLexicalQuery("what is a well-known state-of-the-art index - or two?")).toEqual({
    text: "what is a well-known state-of-the-art index - or two?",
    prefixes: [],
    required: [],
    excluded: [],
  });
});

it("tells operators apart", () => {
  expect(parseLexicalQuery('a "b c" OR d -e -"f g" h*')).toEqual({
    text: "a b c d",
    prefixes: ["h"],
    required: [[phrase("b c"), word("d")]],
    excluded: [word("e"), phrase("f g")],
  });
});

it("never fails, and keeps within bounds", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
      const query = parseLexicalQuery(text);
      const strings = [query.text, ...query.prefixes, ...query.excluded.map((part) => part.text)];
      expect(strings.every((part) => !part.includes("\0") && part.isWellFormed())).toBe(true);
    }),
  );
  expect(parseLexicalQuery("x ".repeat(50_000)).text.length).toBeLessThanOrEqual(20_000);
  expect(parseLexicalQuery('"a b" '.repeat(500)).required).toHaveLength(64);
});

it.each([
  ["vacuum", "vacuum", 0],
  ["vacuum", "vacum", 1],
  ["vacuum", "vacumu", 1],
  ["visibl", "visibilti", 1.5],
  ["index", "vacuum", 3],
])("counts the changes between %s and %s", (stem, typed, changes) => {
  expect(Math.min(3, editDistance(stem, typed, 2))).toBe(changes);
});
