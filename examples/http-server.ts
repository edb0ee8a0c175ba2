// One store for all tenants behind an HTTP server: npx tsx http-server.ts, then
//   curl -H "authorization: Bearer key-of-acme" "http://127.0.0.1:3000/search?q=refunds"
// With --check it sends itself requests of several tenants at once, says what came back, and ends.
import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { OfflineEmbeddings, PostgresVectorStore } from "langchain-pgvector";
import { openEmbeddedPostgres } from "langchain-pgvector/embedded";

const names = ["acme", "globex", "initech"];
const hash = (key = "") => createHash("sha256").update(key).digest("hex");
// The tenant of each API key: what the server has verified, and never a path, a header or a body that claims it.
const tenants = new Map(names.map((name) => [hash(`Bearer key-of-${name}`), name]));

const requests = new AsyncLocalStorage<{ tenant: string }>();
const tenantId = () => requests.getStore()?.tenant;
const pool = await openEmbeddedPostgres(); // or: new pg.Pool({ connectionString: "postgres://rag_app@..." })
const store = await PostgresVectorStore.initialize(new OfflineEmbeddings(), { pool, tenancy: "rls", tenantId });
for (const name of names) {
  const pageContent = `Refunds at ${name} are paid within a week.`;
  await store.forTenant(name).addDocuments([{ id: "refunds", pageContent, metadata: {} }]);
}

// No tenant in sight: the store asks for it at every call, and the database enforces it.
async function search(query: string): Promise<string[]> {
  return (await store.similaritySearch(query, 5)).map((document) => document.pageContent);
}

async function answer({ headers, url }: IncomingMessage): Promise<[number, object]> {
  const tenant = tenants.get(hash(headers.authorization));
  if (tenant === undefined) return [401, { error: "unknown API key" }];
  const query = new URL(url ?? "", "http://localhost").searchParams.get("q") ?? "";
  return [200, { found: await requests.run({ tenant }, () => search(query)) }];
}

const server = createServer((request, response) => {
  const reply = ([status, body]: [number, object]) => response.writeHead(status).end(JSON.stringify(body));
  answer(request).then(reply, () => reply([500, { error: "it failed" }]));
});
const check = process.argv.includes("--check");
server.listen(check ? 0 : 3000, "127.0.0.1", () => {
  if (check) void checkIsolation((server.address() as AddressInfo).port);
});

async function checkIsolation(port: number): Promise<void> {
  const ask = async (name: string) => {
    const headers = { authorization: `Bearer key-of-${name}`, "x-tenant": "acme" };
    return (await fetch(`http://127.0.0.1:${port}/search?q=refunds&tenant=acme`, { headers })).text();
  };
  const askers = Array.from({ length: 60 }, (_, i) => names[i % names.length]!);
  const answers = await Promise.all(askers.map(ask));
  const right = answers.filter((got, i) => got === `{"found":["Refunds at ${askers[i]} are paid within a week."]}`);
  const outside = await search("refunds").catch((error: Error) => error.name);
  console.log(`${right.length} of 60 concurrent searches found what is their own tenant's, and nothing else`);
  console.log(`an unknown key: ${await ask("nobody")}; no tenant: ${String(outside)}`);
  process.exitCode = right.length === 60 && outside === "MissingTenantError" ? 0 : 1;
  server.close(() => void pool.end());
}
