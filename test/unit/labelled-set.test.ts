import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConfigurationError, LoadError, readLabelledSet } from "../../src/index.js";
import { CliFolder } from "../helpers/cli.js";

let folder: CliFolder;
beforeEach(() => {
  folder = new CliFolder();
});
afterEach(() => folder.remove());

const at = (name: string): string => `${folder.path}/${name}`;

describe("a folder in BEIR's layout", () => {
  const files = {
    "set/corpus.jsonl": '{"_id": "d1", "title": "Cats", "text": "They purr."}\n{"_id": 2, "text": "Dogs bark."}\n',
    "set/queries.jsonl":
      '{"_id": "q1", "text": "What purrs?"}\n{"_id": "q2", "text": "unjudged"}\n{"_id": "q3", "text": "What barks?"}\n',
    "set/qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\t2\t0\r\nq3\t2\t1\n",
    "set/qrels/train.tsv": "query-id\tcorpus-id\tscore\nq2\td1\t1\n",
  };

  it("gives documents with their titles, and questions with something relevant, at their places", async () => {
    folder.put(files);
    const set = await readLabelledSet(at("set"));
    expect(set.name).toBe("set");
    expect(set.documents).toEqual([
      { id: "d1", text: "Cats\nThey purr." },
      { id: "2", text: "Dogs bark." },
    ]);
    expect(set.questions.map(({ id, position }) => [id, position])).toEqual([
      ["q1", 0],
      ["q3", 2],
    ]);
    expect([...set.questions[0]!.relevance]).toEqual([
      ["d1", 2],
      ["2", 0],
    ]);
    expect((await readLabelledSet(at("set"), "train")).questions.map(({ id }) => id)).toEqual(["q2"]);
  });

  it("asks which judgements, and names what is wrong by file and line", async () => {
    folder.put({ "two/queries.jsonl": "", "two/qrels/dev.tsv": "h\n", "two/qrels/train.tsv": "h\n" });
    await expect(readLabelledSet(at("two"))).rejects.toThrow(/dev, train\. Say which with --split/);
    await expect(readLabelledSet(at("two"), "final")).rejects.toBeInstanceOf(ConfigurationError);
    await expect(readLabelledSet(at("nowhere"))).rejects.toThrow(/is no labelled set/);
    folder.put({ ...files, "set/qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1 d1 1\n" });
    await expect(readLabelledSet(at("set"))).rejects.toThrow(/test\.tsv, line 2: is not/);
    folder.put({ ...files, "set/corpus.jsonl": '{"_id": "d1"}\n' });
    await expect(readLabelledSet(at("set"))).rejects.toThrow(/corpus\.jsonl, line 1: has no _id and text/);
    folder.put({ ...files, "set/queries.jsonl": "{\n" });
    await expect(readLabelledSet(at("set"))).rejects.toThrow(/queries\.jsonl, line 1: is not JSON/);
    folder.put({ ...files, "set/qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t0\n" });
    await expect(readLabelledSet(at("set"))).rejects.toThrow(/no question with a relevant document/);
  });
});

describe("a file of questions", () => {
  it("takes a list of ids or grades by id", async () => {
    folder.put({
      "q.jsonl":
        '{"question": "a?", "relevant": ["x", 7]}\n\n{"id": "second", "question": "b?", "relevant": {"y": 3}}\n',
    });
    const { name, documents, questions } = await readLabelledSet(at("q.jsonl"));
    expect([name, documents]).toEqual(["q", undefined]);
    expect(questions.map(({ id, relevance }) => [id, [...relevance]])).toEqual([
      [
        "1",
        [
          ["x", 1],
          ["7", 1],
        ],
      ],
      ["second", [["y", 3]]],
    ]);
  });

  it.each([
    ['{"relevant": ["x"]}', /line 1: has no question/],
    ['{"question": "a?"}', /line 1: "relevant" must be/],
    ['{"question": "a?", "relevant": {"x": "high"}}', /"relevant" must be/],
    ['["a?"]', /line 1: is not an object/],
    ['{"question": "a?", "relevant": []}', /no question with a relevant/],
  ])("refuses %s", async (line, message) => {
    folder.put({ "q.jsonl": `${line}\n` });
    const reading = readLabelledSet(at("q.jsonl"));
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toBeInstanceOf(LoadError);
  });
});
