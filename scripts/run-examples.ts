/** Runs every example with fixed arguments, offline, and checks that it prints what it should. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { runScript } from "./run-script.js";
import { ROOT } from "./type-check.js";

const FOLDER = join(ROOT, "examples");

/** Arguments of an example, and text that its output must hold. */
const EXPECTED: Record<string, { args: string[]; prints: string[] }> = {
  "agent.ts": {
    args: [],
    prints: ['tool: <passage number="1" source="hours.md"> acme opens at nine', "ai: It opens at nine [1]."],
  },
  "answer-server.ts": {
    args: ["--check"],
    prints: [
      '{"answer":"Refunds at acme take seven days. [1]"}',
      '{"answer":"Refunds at globex take thirty days. [1]"}',
      "They are paid to the card that was used. [1]",
      "an unknown key: unknown API key",
      "globex said 1 thing: How long do refunds take?",
    ],
  },
  "ask.ts": {
    args: ["docs", "How much RAM do one million vectors of 1536 dimensions need?"],
    prints: ["need about 15 GB of RAM for the index", "docs/production-guide.md, line "],
  },
  "batch-qa.ts": {
    args: ["docs/decisions", "examples/batch-qa.questions.txt"],
    prints: [
      '"question":"What weights do hybrid searches have by default?","answer":',
      '"abstained":true,"sources":[]',
    ],
  },
  "cron-reingest.ts": {
    args: [],
    prints: [
      "added 2, removed 0, unchanged 0",
      "added 0, removed 0, unchanged 2",
      "added 1, removed 2, unchanged 0",
      "The shop opens at ten.",
    ],
  },
  "from-chroma.ts": {
    args: [],
    prints: ["3 records imported, 3 compared", "Strong wind tears the sail of a kite."],
  },
  "http-server.ts": {
    args: ["--check"],
    prints: [
      "60 of 60 concurrent searches found what is their own tenant's, and nothing else",
      "no tenant: MissingTenantError",
    ],
  },
  "langgraph.ts": {
    args: [],
    prints: [
      "A kite needs a wind of at least 12 km/h to rise. [1]",
      'I found nothing about "Who painted the Mona Lisa?".',
    ],
  },
  "next-route.ts": {
    args: [],
    prints: ["200 application/x-ndjson", '"source":"kites.md"', '400 {"error":"Send a question."}'],
  },
  "lcel-chain.ts": { args: [], prints: ["A kite needs a wind of at least 12 km/h to rise. [1]"] },
};

/** @throws Error saying what the example did not do */
function check(name: string): void {
  const expected = EXPECTED[name];
  if (!expected) throw new Error("scripts/run-examples.ts does not say what it should print");
  const { status, stdout, stderr } = runScript(join(FOLDER, name), expected.args);
  process.stdout.write(`--- ${name}\n${stdout}`);
  if (status !== 0) throw new Error(`it failed\n${stderr.trim()}`);
  for (const text of expected.prints) {
    if (!stdout.includes(text)) throw new Error(`its output does not hold ${JSON.stringify(text)}`);
  }
}

let failed = 0;
const names = new Set([...readdirSync(FOLDER).filter((name) => name.endsWith(".ts")), ...Object.keys(EXPECTED)]);
for (const name of names) {
  try {
    check(name);
  } catch (error) {
    failed += 1;
    process.stdout.write(`FAILED: ${name}: ${(error as Error).message}\n`);
  }
}
process.stdout.write(`${names.size - failed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 ? 1 : 0;
