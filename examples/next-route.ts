// Calls the handler of next-route/route.ts as Next.js would: npx tsx next-route.ts
import { POST } from "./next-route/route.js";

const ask = (question: string) =>
  POST(new Request("http://localhost/api/ask", { method: "POST", body: JSON.stringify({ question }) }));

const response = await ask("How much wind does a kite need?");
console.log(response.status, response.headers.get("content-type"));
for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) process.stdout.write(piece);
const refused = await ask(" ");
console.log(refused.status, await refused.text());
