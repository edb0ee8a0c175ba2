import { Document } from "@langchain/core/documents";
import { expect, it } from "vitest";
import { CoverageReranker } from "../../src/chains/index.js";
import { ConfigurationError } from "../../src/errors.js";

const documents = [
  "Bread rises in a warm place. It needs an hour.",
  "The oven light blinks. Nobody knows why.",
  "To clear the oven light, hold the door button for three seconds.",
].map((pageContent, n) => new Document({ id: String(n), pageContent, metadata: { n } }));
const order = async (weight: number | undefined): Promise<unknown[]> =>
  (
    await new CoverageReranker(weight === undefined ? {} : { weight }).compressDocuments(
      documents,
      "How do I clear the oven light?",
    )
  ).map(({ id }) => id);

it("moves up passages with a sentence that speaks of the question, more so the greater its weight", async () => {
  expect(await order(1)).toEqual(["2", "1", "0"]);
  expect(await order(0)).toEqual(["0", "1", "2"]);
  expect((await order(0.5))[0]).toBe("2");
});

it("leaves its score and nothing of its own in the documents that it was given", async () => {
  const ranked = await new CoverageReranker().compressDocuments(documents, "How do I clear the oven light?");
  const scores = ranked.map(({ metadata }) => metadata["relevanceScore"] as number);
  expect(scores).toEqual(scores.toSorted((a, b) => b - a));
  expect(scores.every((score) => score >= 0 && score <= 1)).toBe(true);
  expect(documents.every(({ metadata }) => !("relevanceScore" in metadata))).toBe(true);
  expect(await new CoverageReranker().compressDocuments([], "anything")).toEqual([]);
});

it("refuses a weight that is none", () => {
  expect(() => new CoverageReranker({ weight: 1.5 })).toThrow(ConfigurationError);
  expect(() => new CoverageReranker({ weight: Number.NaN })).toThrow(/from 0 to 1/);
});
