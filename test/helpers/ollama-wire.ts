import type { ServerResponse } from "node:http";
import { hashedVector } from "./hashed-vector.js";
import { chatAnswer, piecesOf, tokensIn } from "./openai-wire.js";
import { sendJson, type RecordedRequest, type ScriptedReply } from "./model-script.js";

/** The 404 that Ollama gives for a model which has not been pulled. */
export function replyModelNotFound(request: RecordedRequest, response: ServerResponse): void {
  const model = String(request.body?.["model"]);
  sendJson(response, { error: `model "${model}" not found, try pulling it first` }, 404);
}

/** POST /api/embed. */
export function replyOllamaEmbed(
  request: RecordedRequest,
  response: ServerResponse,
  reply: ScriptedReply,
  ownDimensions: number,
): void {
  const { input, model, dimensions } = request.body ?? {};
  const texts = Array.isArray(input) ? input.map(String) : [String(input)];
  const length = (typeof dimensions === "number" ? dimensions : ownDimensions) + (reply === "wrong-dimension" ? 1 : 0);
  let embeddings: (number | null)[][] = texts.map((text) => hashedVector(text, length));
  if (reply === "nan") embeddings.forEach((vector) => (vector[2] = null));
  if (reply === "empty-data") embeddings = [];
  if (reply === "one-short") embeddings.pop();
  if (reply === "empty-vector") embeddings = embeddings.map(() => []);
  const tokens = texts.reduce((sum, text) => sum + tokensIn(text), 0);
  sendJson(response, { model, embeddings, total_duration: 1, load_duration: 1, prompt_eval_count: tokens });
}

/** POST /api/chat, whole or as lines of JSON. */
export function replyOllamaChat(
  request: RecordedRequest,
  response: ServerResponse,
  reply: ScriptedReply,
  answerTo: (lastMessage: string, body: Record<string, unknown>) => string,
): void {
  const body = request.body ?? {};
  const { content, calls } = chatAnswer(request, reply, answerTo);
  const head = { model: body["model"], created_at: "2025-01-01T00:00:00Z" };
  const toolCalls = calls.map(({ name, args }) => ({ function: { name, arguments: args } }));
  const extra = toolCalls.length > 0 ? { tool_calls: toolCalls } : {};
  const end = {
    done: true,
    done_reason: "stop",
    prompt_eval_count: tokensIn(JSON.stringify(body["messages"] ?? [])),
    eval_count: tokensIn(content),
  };
  // Ollama streams unless it is told not to.
  if (body["stream"] === false) {
    sendJson(response, { ...head, message: { role: "assistant", content, ...extra }, ...end });
    return;
  }
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  const line = (part: object) => response.write(`${JSON.stringify({ ...head, ...part })}\n`);
  if (toolCalls.length > 0) line({ message: { role: "assistant", content: "", ...extra }, done: false });
  for (const piece of piecesOf(content)) line({ message: { role: "assistant", content: piece }, done: false });
  line({ message: { role: "assistant", content: "" }, ...end });
  response.end();
}
