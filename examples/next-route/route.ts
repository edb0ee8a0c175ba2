// A route of Next.js that streams answers: copy it to app/api/ask/route.ts. It runs in the Node.js runtime, Next's
// default, and needs nothing of Next.js itself.
import pg from "pg";
import { OfflineEmbeddings, PostgresVectorStore } from "langchain-pgvector";
import { createRagChain } from "langchain-pgvector/chains";
import { openEmbeddedPostgres } from "langchain-pgvector/embedded";

const url = process.env["DATABASE_URL"];
// Opened by the first request and kept for all of the process.
let opened: ReturnType<typeof open> | undefined;
async function open() {
  const pool = url ? new pg.Pool({ connectionString: url }) : await openEmbeddedPostgres();
  const store = await PostgresVectorStore.initialize(new OfflineEmbeddings(), { pool });
  if (!url) {
    const pageContent = "A kite needs a wind of at least 12 km/h to rise.";
    await store.addDocuments([{ id: "kite", pageContent, metadata: { source: "kites.md" } }]);
  }
  return createRagChain({ store });
}

/** Answers `{ "question": "..." }` with lines of JSON: the answer piece by piece, then the citations. */
export async function POST(request: Request): Promise<Response> {
  const { question } = (await request.json()) as { question?: unknown };
  if (typeof question !== "string" || question.trim() === "") {
    return Response.json({ error: "Send a question." }, { status: 400 });
  }
  const chain = await (opened ??= open());
  // The request's signal fires when the browser goes away.
  const answer = await chain.stream({ input: question }, { signal: request.signal });
  const lines = new TransformStream<object, Uint8Array>({
    transform(chunk, controller) {
      if ("context" in chunk) return;
      controller.enqueue(new TextEncoder().encode(`${JSON.stringify(chunk)}\n`));
    },
  });
  return new Response(answer.pipeThrough(lines), { headers: { "content-type": "application/x-ndjson" } });
}
