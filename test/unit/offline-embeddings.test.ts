import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OfflineEmbeddings } from "../../src/embeddings/offline.js";
import { wordsOf } from "../../src/embeddings/words.js";
import { ConfigurationError } from "../../src/errors.js";

const embeddings = new OfflineEmbeddings();
const cosine = (a: number[], b: number[]): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const similarity = async (a: string, b: string): Promise<number> =>
  cosine(await embeddings.embedQuery(a), await embeddings.embedQuery(b));

describe("OfflineEmbeddings", () => {
  it("gives unit vectors of float32 values for any text", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary", maxLength: 200 }), async (text) => {
        const vector = await embeddings.embedQuery(text);
        expect(vector).toHaveLength(384);
        expect(vector.every((value) => Number.isFinite(value) && Math.fround(value) === value)).toBe(true);
        expect(cosine(vector, vector)).toBeCloseTo(1, 4);
      }),
      { numRuns: 200 },
    );
  });

  it("gives texts without words one fixed direction", async () => {
    const [empty, ...others] = await embeddings.embedDocuments(["", "  \n", "?!", "---", "|---|---|", "\uD800"]);
    for (const other of others) expect(other).toEqual(empty);
    expect(cosine(empty!, empty!)).toBe(1);
  });

  // A change here changes every stored vector: it needs a new `model` name, not a new expectation.
  it("keeps the vectors of its version", async () => {
    const vector = await new OfflineEmbeddings({ dimensions: 16 }).embedQuery(
      "Rebuild hnsw.ef_search, then café 東京 <=>.",
    );
    expect(vector).toMatchInlineSnapshot(`
      [
        -0.165683776140213,
        -0.2600231170654297,
        0.23852653801441193,
        0.20516496896743774,
        -0.31237611174583435,
        0.04212750121951103,
        0.04212750121951103,
        -0.17182032763957977,
        -0.23404090106487274,
        -0.6681812405586243,
        0.050527408719062805,
        0.09578198194503784,
        0,
        0.036424435675144196,
        0.22271697223186493,
        0.33376744389533997,
      ]
    `);
  });

  it("is the same in every instance, for documents and queries", async () => {
    const text = "Vectors of two models are never compared.";
    const [document] = await new OfflineEmbeddings({}).embedDocuments([text]);
    expect(document).toEqual(await embeddings.embedQuery(text));
    expect(await embeddings.embedDocuments([])).toEqual([]);
  });

  it("ranks shared words above strangers, and forgives case, inflection, width and typos", async () => {
    const text = "Rebuilding an index concurrently";
    const stranger = await similarity(text, "A recipe for sourdough bread");
    expect(await similarity(text, "REBUILD INDEXES")).toBeGreaterThan(0.4);
    expect(await similarity(text, "ｒｅｂｕｉｌｄｉｎｇ index")).toBeGreaterThan(0.4);
    expect(await similarity("concurrently", "concurently")).toBeGreaterThan(0.3);
    expect(Math.abs(stranger)).toBeLessThan(0.25);
  });

  it("nearly ignores function words", async () => {
    expect(await similarity("what is the watermark", "watermark")).toBeGreaterThan(0.95);
  });

  it("finds an identifier by its whole and by its parts", async () => {
    const setting = "set hnsw.ef_search to 100";
    expect(await similarity(setting, "hnsw.ef_search")).toBeGreaterThan(await similarity(setting, "hnsw search"));
    expect(await similarity(setting, "hnsw search")).toBeGreaterThan(0.2);
    expect(await similarity("call fromDocuments", "documents")).toBeGreaterThan(0.2);
  });

  it("says which model it is, by its dimensions", () => {
    expect(embeddings.model).toBe("offline-hash-384-v1");
    expect(new OfflineEmbeddings({ dimensions: 768 }).model).toBe("offline-hash-768-v1");
  });

  it.each([0, 15, 16.5, Number.NaN, -384, 16_001])("refuses %s dimensions", (dimensions) => {
    expect(() => new OfflineEmbeddings({ dimensions })).toThrow(ConfigurationError);
  });

  it("stays linear on long runs of one character", async () => {
    const hostile = ["-", "a", "a.", "A", "<", "東", "1,"].map((unit) => unit.repeat(100_000));
    const started = performance.now();
    await embeddings.embedDocuments(hostile);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

const stems = (text: string): string[] => wordsOf(text).map(({ stem }) => stem);

describe("wordsOf", () => {
  it("keeps names whole and in parts", () => {
    expect(stems("hnsw.ef_search")).toEqual(["hnsw.ef_search", "ef_search", "hnsw", "ef", "search"]);
    expect(stems("PostgreSQL")).toEqual(["postgresql", "postgr", "sql"]);
  });

  it("reads operators, numbers with commas, and scripts without spaces", () => {
    expect(stems("a <=> b --- **c**")).toEqual(["a", "<=>", "b", "c"]);
    expect(stems("1,000 rows")).toEqual(["1000", "row"]);
    expect(stems("東京都 x")).toEqual(["東京", "京都", "x"]);
  });

  it("marks function words", () => {
    expect(wordsOf("Don't the rows").map(({ stop }) => stop)).toEqual([true, true, true, false]);
  });
});
