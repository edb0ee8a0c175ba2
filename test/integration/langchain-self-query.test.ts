import { createRequire } from "node:module";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { PromptTemplate } from "@langchain/core/prompts";
import { RunnableSequence, type Runnable } from "@langchain/core/runnables";
import {
  Comparison,
  Operation,
  StructuredQuery,
  type Comparator,
  type Operator,
} from "@langchain/core/structured_query";
import { FakeListChatModel } from "@langchain/core/utils/testing";
import { AttributeInfo } from "@langchain/classic/chains/query_constructor";
import { SelfQueryRetriever } from "@langchain/classic/retrievers/self_query";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FilterError, PostgresTranslator, type PostgresVectorStore } from "../../src/index.js";
import { openTestDatabase, type TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { find, openFilms } from "../helpers/films.js";

/** LangChain parses the conditions of a model's answer with peggy, an optional peer dependency of its own. */
const needsPeggy = isInstalled("peggy") ? "" : " (needs peggy, skipped without it)";

function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}

let database: TestDatabase;
let store: PostgresVectorStore;

beforeAll(async () => {
  database = await openTestDatabase();
  store = await openFilms(database);
});
afterAll(() => database.close());

describe("SelfQueryRetriever with PostgresTranslator", () => {
  type SearchParams = NonNullable<ConstructorParameters<typeof SelfQueryRetriever>[0]["searchParams"]>;
  /** A condition as the model answers it: `["and", ["gt", "year", 1990], ...]`. */
  type Answer = readonly [string, ...unknown[]];

  const toDirective = ([name, ...args]: Answer): Comparison | Operation =>
    ["and", "or", "not"].includes(name)
      ? new Operation(name as Operator, (args as Answer[]).map(toDirective))
      : new Comparison(name as Comparator, args[0] as string, args[1] as string);

  function selfQuery(
    filter?: Answer,
    searchParams: SearchParams = { k: 6 },
    query = "spaceship",
  ): SelfQueryRetriever<PostgresVectorStore> {
    const llm = new FakeListChatModel({ responses: [JSON.stringify({ query, filter })] });
    const queryConstructor = RunnableSequence.from([
      PromptTemplate.fromTemplate("Split into words and conditions: {query}"),
      llm,
      new StringOutputParser(),
      (text: string) => {
        const answer = JSON.parse(text) as { query: string; filter?: Answer };
        return new StructuredQuery(answer.query, answer.filter && toDirective(answer.filter));
      },
    ]) as Runnable<{ query: string }, StructuredQuery>;
    const structuredQueryTranslator = new PostgresTranslator();
    return new SelfQueryRetriever({ vectorStore: store, queryConstructor, structuredQueryTranslator, searchParams });
  }

  it.each<[Answer | undefined, string[]]>([
    [
      ["eq", "genre", "thriller"],
      ["alien", "heist", "shark"],
    ],
    [
      ["ne", "genre", "thriller"],
      ["robot", "space", "whale"],
    ],
    [
      ["gt", "year", 1993],
      ["heist", "robot"],
    ],
    [
      ["gte", "year", "1993"],
      ["heist", "robot", "whale"],
    ],
    [["eq", "year", "1979"], ["alien"]],
    [
      ["ne", "year", "1979"],
      ["heist", "robot", "shark", "space", "whale"],
    ],
    [
      ["and", ["lt", "year", 1980], ["eq", "genre", "thriller"]],
      ["alien", "shark"],
    ],
    [
      ["or", ["lte", "year", 1968], ["and", ["eq", "genre", "family"], ["gt", "year", 2000]]],
      ["robot", "space"],
    ],
    [["not", ["or", ["eq", "genre", "thriller"], ["eq", "genre", "family"]]], ["space"]],
    [undefined, ["alien", "heist", "robot", "shark", "space", "whale"]],
  ])("%j", async (filter, expected) => {
    expect((await find(selfQuery(filter), "what the user asked")).sort()).toEqual(expected);
  });

  it("searches with the words that the model leaves", async () => {
    const retriever = selfQuery(undefined, { k: 1 }, "A shark at the beach");
    expect(await find(retriever, "An alien on a spaceship")).toEqual(["shark"]);
  });

  it("keeps the default filter, also when the model has none", async () => {
    const family = { k: 6, filter: { genre: "family" } };
    const recent: Answer = ["gt", "year", 2000];
    expect((await find(selfQuery(undefined, family))).sort()).toEqual(["robot", "whale"]);
    expect(await find(selfQuery(recent, family))).toEqual(["robot"]);
    const or = selfQuery(recent, { ...family, mergeFiltersOperator: "or" });
    expect((await find(or)).sort()).toEqual(["heist", "robot", "whale"]);
    const replace = selfQuery(recent, { ...family, mergeFiltersOperator: "replace" });
    expect((await find(replace)).sort()).toEqual(["heist", "robot"]);
  });

  it.each<[Answer]>([
    [["eq", "genre", ["thriller", "family"]]],
    [["gt", "year", true]],
    [["contains", "genre", "thr"]],
    [["and"]],
    [["eq", "$or", 1]],
  ])("refuses %j instead of searching everything", async (filter) => {
    expect(await errorOf(selfQuery(filter).invoke("q"))).toBeInstanceOf(FilterError);
  });

  it.skipIf(!isInstalled("peggy"))(`fromLLM understands the answer${needsPeggy}`, async () => {
    const answer = (filter: string): string => `\`\`\`json\n${JSON.stringify({ query: "spaceship", filter })}\n\`\`\``;
    const llm = new FakeListChatModel({
      responses: [
        answer(`and(lt("year", 1980), not(eq("genre", "drama")))`),
        answer("NO_FILTER"),
        answer(`or(eq("genre", "family"), gte("year", "2010"))`),
      ],
    });
    const retriever = SelfQueryRetriever.fromLLM({
      llm,
      vectorStore: store,
      documentContents: "Summaries of films",
      attributeInfo: [
        new AttributeInfo("genre", "string", "Genre of the film"),
        new AttributeInfo("year", "number", "Year of release"),
      ],
      structuredQueryTranslator: new PostgresTranslator(),
      searchParams: { k: 6 },
    });
    expect((await find(retriever)).sort()).toEqual(["alien", "shark"]);
    expect(await find(retriever)).toHaveLength(6);
    expect((await find(retriever)).sort()).toEqual(["heist", "robot", "whale"]);
  });
});
