import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";
import { fileURLToPath, pathToFileURL } from "node:url";
import { expect, it } from "vitest";
import { describeServer, openServerDatabase } from "../helpers/database.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Stands in for a chat model: answers in turn, each when it has been shown the text that it follows from. */
const standIn = `
  import { AIMessage } from "@langchain/core/messages";
  import { fakeModel } from "@langchain/core/testing";
  const from = (fact, answer) => (messages) =>
    new AIMessage(messages.some((message) => message.text.includes(fact)) ? answer : "I do not know.");
  export function ChatOpenAI() {
    return fakeModel()
      .respond(from("Refunds take five days.", "Five days."))
      .respond(from("The shop opens at nine.", "At nine."))
      .respondWithTools([{ name: "search_shop", args: { query: "parking" } }])
      .respond(from("Parking is behind the house.", "Behind the house [1]."))
      .respond(from("Facts about a shop", JSON.stringify({ query: "shop", filter: 'lt("year", 2024)' })));
  }`;

/** The program that the guide is, and what it says that it prints. Without peggy the section on self-query is left out. */
async function readGuide(): Promise<{ program: string; printed: string }> {
  let guide = await readFile(`${root}/docs/langchain.md`, "utf8");
  try {
    createRequire(import.meta.url).resolve("peggy");
  } catch {
    guide = guide.replace(/\n## Self-query\n[\s\S]*?(?=\n## )/, "");
  }
  const blocks = (language: string): string =>
    [...guide.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))]
      .map((match) => match[1]!)
      .join("");
  const source = (path: string): string => JSON.stringify(pathToFileURL(`${root}/src/${path}/index.ts`).href);
  const program = blocks("ts")
    .replaceAll(`"@langchain/openai"`, `"./model.mjs"`)
    .replaceAll(`"langchain-pgvector"`, source("."))
    .replaceAll(`"langchain-pgvector/chains"`, source("chains"));
  return { program, printed: blocks("text") };
}

describeServer("docs/langchain.md", () => {
  it("prints what it says", async () => {
    const { program, printed } = await readGuide();
    const database = await openServerDatabase();
    // Inside the repository, so that its packages are found.
    const folder = await mkdtemp(`${root}/node_modules/.guide-`);
    try {
      const file = `${folder}/guide.mts`;
      await writeFile(file, program);
      await writeFile(`${folder}/model.mjs`, standIn);
      const run = spawn(process.execPath, ["--import", "tsx", file], {
        cwd: root,
        env: { PATH: process.env["PATH"], DATABASE_URL: database.url, NO_COLOR: "1" },
        timeout: 120_000,
      });
      const [stdout, stderr] = await Promise.all([text(run.stdout), text(run.stderr)]);
      expect(stderr).toBe("");
      expect(stdout).toBe(printed);
    } finally {
      await rm(folder, { recursive: true, force: true });
      await database.close();
    }
  }, 180_000);
});
