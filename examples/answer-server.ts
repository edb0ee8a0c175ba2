// Answers over HTTP as they are written, for many tenants: npx tsx answer-server.ts, then
//   curl -N -H "authorization: Bearer key-of-acme" -d '{"question": "How long do refunds take?", "session": "1"}' \
//     http://127.0.0.1:3000/ask
// Conversations are kept in the database, under the tenant. With --check it asks itself for two tenants, and ends.
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { ChatOpenAI } from "@langchain/openai";
import { OfflineEmbeddings, PostgresVectorStore } from "langchain-pgvector";
import { createConversationalRagChain } from "langchain-pgvector/chains";
import { openEmbeddedPostgres } from "langchain-pgvector/embedded";

const hash = (key = "") => createHash("sha256").update(key).digest("hex");
const tenants = new Map(["acme", "globex"].map((name) => [hash(`Bearer key-of-${name}`), name]));

const pool = await openEmbeddedPostgres(); // or: new pg.Pool({ connectionString: "postgres://rag_app@..." })
const store = await PostgresVectorStore.initialize(new OfflineEmbeddings(), { pool, tenancy: "rls" });
for (const [name, days] of [
  ["acme", "seven"],
  ["globex", "thirty"],
] as const) {
  const pageContent = `Refunds at ${name} take ${days} days. They are paid to the card that was used.`;
  await store
    .forTenant(name)
    .addDocuments([{ id: "refunds", pageContent, metadata: { source: `${name}/refunds.md` } }]);
}

// The tenant is in the config of each call, where the request's key has put it; no document and no model can change it.
const tenant = ({ configurable }: { configurable?: Record<string, unknown> }) => configurable?.["tenant_id"] as string;
const chain = createConversationalRagChain({
  store,
  tenant,
  history: (sessionId, config) => store.forTenant(tenant(config)).chatHistory(sessionId),
  ...(process.env["OPENAI_API_KEY"] && { model: new ChatOpenAI({ model: "gpt-4o-mini" }) }),
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const tenant_id = tenants.get(hash(request.headers.authorization));
  if (tenant_id === undefined) return void response.writeHead(401).end("unknown API key");
  const { question, session } = (await json(request)) as { question: string; session: string };
  // Who hangs up cancels the search in the database and the model's request.
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const config = { configurable: { tenant_id, sessionId: session }, signal: gone.signal };
  const stream = await chain.stream({ input: question }, config);
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  for await (const { context: _, ...chunk } of stream) {
    if (Object.keys(chunk).length > 0) response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  }
  response.end();
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: Error) => {
    console.error(error.message);
    if (response.headersSent) response.destroy();
    else response.writeHead(500).end("it failed");
  });
});
const check = process.argv.includes("--check");
server.listen(check ? 0 : 3000, "127.0.0.1", () => {
  if (check) void checkItself((server.address() as AddressInfo).port);
});

async function checkItself(port: number): Promise<void> {
  const ask = async (name: string, question: string) => {
    const headers = { authorization: `Bearer key-of-${name}` };
    const body = JSON.stringify({ question, session: "talk" });
    return (await fetch(`http://127.0.0.1:${port}/ask`, { method: "POST", headers, body })).text();
  };
  for (const name of ["acme", "globex"]) process.stdout.write(await ask(name, "How long do refunds take?"));
  process.stdout.write(await ask("acme", "And how are they paid?"));
  console.log("an unknown key:", await ask("nobody", "How long do refunds take?"));
  const talk = await store.forTenant("globex").chatHistory("talk").getMessages();
  console.log(`globex said ${talk.length / 2} thing: ${talk[0]!.text}`);
  server.close(() => void pool.end());
}
