import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CliFolder, type CliRun } from "../helpers/cli.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";
import { startOpenAIServer, type OpenAIServer } from "../helpers/openai-server.js";

describe("chat", () => {
  const folder = new CliFolder();
  let server: OpenAIServer;
  let database: TestDatabase;
  let env: Record<string, string>;
  const chat = (input: string[], ...args: string[]): Promise<CliRun> => folder.run(["chat", ...args], { input, env });

  beforeAll(async () => {
    server = await startOpenAIServer({
      answer: (last) => (last.includes("<passage") ? "They bark [1]." : "What do dogs bark at?"),
    });
    folder.put({
      "a.md": "# Dogs\n\nDogs bark loudly at the postman every morning.\n\nTheir puppies sleep in a wooden basket.\n",
      "b.md": "# Cats\n\nCats chase mice through the barn at night.\n",
    });
    // On the server of the run when there is one, else on the embedded database of the folder.
    database = await openTestDatabase();
    env = database.url === undefined ? {} : { DATABASE_URL: database.url };
    expect((await folder.run(["ingest", "a.md", "b.md", "--lexical"], { env })).code).toBe(0);
  });
  afterAll(async () => {
    await Promise.all([server.close(), database.close()]);
    folder.remove();
  });

  it("answers follow-ups, says what an answer rests on and why it was found, and goes on later", async () => {
    const { code, out, err } = await chat(
      ["What do dogs bark at?", "", "/sources", "And their puppies sleep where?", "/why", "/nonsense", "/history"],
      "--session",
      "pets",
      "--mode",
      "hybrid",
    );
    expect(code).toBe(0);
    expect(err).toContain("conversation: pets");
    expect(out).toContain("Dogs bark loudly at the postman every morning. [1]\n\n[1] a.md, line 3:");
    expect(out).toContain(": not used");
    expect(out).toContain("Their puppies sleep in a wooden basket.");
    expect(out).toContain("searched for: And their puppies sleep where? What do dogs bark at?");
    expect(out).toMatch(/^1 +\S+ +1 +\S+ +1 +\S+ +.*puppi/m);
    expect(err.join("\n")).toContain("There is no /nonsense.");
    expect(out).toContain("you: And their puppies sleep where?");

    const later = await chat(["/history", "/clear", "/history", "/exit", "never asked"], "--session", "pets");
    expect(later.out.match(/^you: /gm)).toHaveLength(2);
    expect(later.out).not.toContain("never asked");
    expect((await chat(["/history"], "--session", "pets")).out).toBe("");
    expect((await chat(["/sources", "/why"])).out).toBe("No passage was found yet.\nNothing was asked yet.\n");
  });

  it("prints a line of JSON for each line of a pipe, and asks a model within its budget", async () => {
    const { out } = await chat(["What do dogs bark at?", "Who painted the Mona Lisa?"], "--json");
    const answers = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { question: string; abstained: boolean });
    expect(answers.map(({ abstained }) => abstained)).toEqual([false, true]);
    const asked = await folder.run(["ask", "-", "--json"], {
      env,
      input: ["What do cats chase?", " ", "What do dogs bark at?"],
    });
    expect(asked.out.trim().split("\n")).toHaveLength(2);
    expect((await folder.run(["ask", "-"], { env })).code).toBe(2);

    const model = ["--chat-model", "openai:test", "--base-url", server.url, "--api-key", "sk-very-secret", "--json"];
    const poor = await chat(["What do dogs bark at?", "And then?"], ...model, "--token-budget", "1");
    expect(poor.code).toBe(1);
    expect(JSON.parse(poor.out.trim())).toMatchObject({
      answer: "They bark [1].",
      usage: { total_tokens: expect.any(Number) as number },
    });
    expect(poor.err.at(-1)).toContain("budget of the chat model is used up");
    const rich = await chat(["What do dogs bark at?", "And then?"], ...model);
    expect(rich.code).toBe(0);
    expect(rich.out.trim().split("\n")).toHaveLength(2);
  });
});

describe("chat of tenants", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await openTestDatabase();
  });
  afterAll(() => database.close());

  it("keeps the conversations of tenants apart", async (test) => {
    test.skip(testSchema().schemaName !== undefined, "runs where the schema is the default one");
    test.skip(database.url === undefined, "needs a server");
    const folder = new CliFolder();
    folder.secrets.length = 0;
    folder.put({ "a.md": "Dogs bark at the postman.\n" });
    const target = ["--database-url", database.url!, "--session", "s"];
    const run = (tenant: string, input: string[]): Promise<CliRun> =>
      folder.run(["chat", ...target, "--tenant", tenant], { input });
    await folder.run(["ingest", "a.md", "--database-url", database.url!, "--tenant", "a"]);
    await folder.run(["ingest", "a.md", "--database-url", database.url!, "--tenant", "b"]);
    expect((await run("a", ["What do dogs bark at?"])).out).toContain("Dogs bark at the postman. [1]");
    expect((await run("b", ["/history"])).out).toBe("");
    expect((await run("a", ["/history"])).out).toContain("you: What do dogs bark at?");
    folder.remove();
  });
});
