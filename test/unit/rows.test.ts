import { createHash } from "node:crypto";
import { Document } from "@langchain/core/documents";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IngestError } from "../../src/errors.js";
import { checkId, toChunkRows } from "../../src/store/rows.js";

const doc = (pageContent: string, metadata: Record<string, unknown> = {}, id?: string): Document =>
  new Document({ pageContent, metadata, ...(id !== undefined && { id }) });

describe("rows", () => {
  test("carry id, content, metadata as JSON and the hash of the content", () => {
    expect(toChunkRows([doc("é", { a: 1 }, "x")])).toEqual([
      { id: "x", content: "é", metadata: '{"a":1}', contentHash: createHash("sha256").update("é").digest() },
    ]);
  });

  test("hash what is stored, not what was given", () => {
    const [dirty, clean] = toChunkRows([doc("a\0b\ud800"), doc("ab\ufffd")]);
    expect(dirty!.content).toBe("ab\ufffd");
    expect(dirty!.contentHash).toEqual(clean!.contentHash);
  });

  test("take ids from the call, then from the document, then make them", () => {
    const documents = [doc("a", {}, "own"), doc("b")];
    expect(toChunkRows(documents, ["1", "2"]).map(({ id }) => id)).toEqual(["1", "2"]);
    const [own, made] = toChunkRows(documents);
    expect(own!.id).toBe("own");
    expect(made!.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4/);
    expect(toChunkRows([doc("b"), doc("b")]).map(({ id }) => id)).not.toContain(made!.id);
  });

  test("are refused with the place of the document", () => {
    const refused = (documents: unknown[], ids?: string[]): Partial<IngestError> => {
      try {
        toChunkRows(documents as Document[], ids);
      } catch (error) {
        return error as IngestError;
      }
      throw new Error("It was not refused.");
    };
    expect(refused([doc("a", {}, "x"), doc("b", {}, "x")])).toMatchObject({ code: "INGEST", row: 1 });
    expect(refused([doc("a"), { pageContent: null, metadata: {} }])).toMatchObject({ row: 1 });
    expect(refused([doc("a"), doc("b", { big: 1n })])).toMatchObject({
      row: 1,
      cause: expect.any(TypeError) as unknown,
    });
    expect(refused([doc("a")], ["1", "2"]).message).toMatch(/2 ids were given for 1 documents/);
    expect(refused([doc("a")], [""]).message).toMatch(/document 0 must be a non-empty string, got an empty string/);
  });

  test("hold JSON without NUL and without lone surrogates, otherwise what JSON.stringify writes", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc
        .array(fc.constantFrom("\\", "u0000", "\0", "\ud800", "\udc00", '"', "ud800", "😀"))
        .map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(text, (value) => {
        const [row] = toChunkRows([doc("a", { value })]);
        const { value: stored } = JSON.parse(row!.metadata) as { value: string };
        expect(stored).toBe(value.toWellFormed().replaceAll("\0", ""));
        expect(row!.metadata).not.toMatch(/(?<!\\)(\\\\)*\\u(0000|d[89a-f])/);
      }),
      { numRuns: 500 },
    );
  });
});

describe("an id", () => {
  test("is any text of up to 2,000 bytes", () => {
    for (const id of ["a", " ", "漢".repeat(666), "x".repeat(2_000)]) expect(checkId(id)).toBe(id);
  });

  test.each<[unknown]>([
    [""],
    [null],
    [undefined],
    [5],
    [["a"]],
    ["a\0"],
    ["\ud800"],
    ["x".repeat(2_001)],
    ["漢".repeat(667)],
  ])("is not %j", (id) => {
    expect(() => checkId(id)).toThrow(IngestError);
  });
});
