import type { ServerResponse } from "node:http";
import { hashedVector } from "./hashed-vector.js";
import { sendJson, type RecordedRequest, type ScriptedReply } from "./model-script.js";

/** POST /v1/embeddings. */
export function replyEmbeddings(
  request: RecordedRequest,
  response: ServerResponse,
  reply: ScriptedReply,
  ownDimensions: number,
): void {
  const { input, model, dimensions, encoding_format: format } = request.body ?? {};
  const texts = Array.isArray(input) ? input.map(String) : [String(input)];
  const length = (typeof dimensions === "number" ? dimensions : ownDimensions) + (reply === "wrong-dimension" ? 1 : 0);
  const base64 = format === "base64" && reply !== "floats";
  let data = texts.map((text, index) => {
    const vector: (number | null)[] = hashedVector(text, reply === "ragged" && index > 0 ? length + 1 : length);
    // JSON has no NaN: servers that do not crash on it write null.
    if (reply === "nan") vector[2] = base64 ? Number.NaN : null;
    if (reply === "empty-vector") vector.length = 0;
    return { object: "embedding", index, embedding: base64 ? toBase64(vector) : vector };
  });
  if (reply === "empty-data") data = [];
  if (reply === "one-short") data.pop();
  if (reply === "shuffled") data.reverse();
  const tokens = texts.reduce((sum, text) => sum + tokensIn(text), 0);
  const body = { object: "list", data, model, usage: { prompt_tokens: tokens, total_tokens: tokens } };
  const text = JSON.stringify(body);
  sendJson(response, reply === "nan-literal" ? text.replace('"embedding":[', '"embedding":[NaN,') : text);
}

/** Replies so far: LangGraph takes messages of one id for versions of one message. */
let replies = 0;

/** POST /v1/chat/completions, whole or as server-sent events. */
export function replyChat(
  request: RecordedRequest,
  response: ServerResponse,
  reply: ScriptedReply,
  answerTo: (lastMessage: string, body: Record<string, unknown>) => string,
): void {
  const body = request.body ?? {};
  const { content, calls } = chatAnswer(request, reply, answerTo);
  const toolCalls = calls.map(({ name, args }, index) => ({
    index,
    id: `call_${index + 1}`,
    type: "function",
    function: { name, arguments: JSON.stringify(args) },
  }));
  const finish = toolCalls.length > 0 ? "tool_calls" : "stop";
  const prompt = tokensIn(JSON.stringify(body["messages"] ?? []));
  const completion = tokensIn(content);
  const usage = { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
  const head = { id: `chatcmpl-${++replies}`, created: 1_700_000_000, model: body["model"] };
  if (body["stream"] !== true) {
    const message = {
      role: "assistant",
      content: toolCalls.length > 0 ? null : content,
      ...(toolCalls.length > 0
        ? { tool_calls: toolCalls.map(({ id, type, function: call }) => ({ id, type, function: call })) }
        : {}),
    };
    const choices = [{ index: 0, message, finish_reason: finish, logprobs: null }];
    sendJson(response, { ...head, object: "chat.completion", choices, usage });
    return;
  }
  const send = (part: object) => response.write(`data: ${JSON.stringify(part)}\n\n`);
  const chunk = (delta: object, finishReason: string | null = null) =>
    send({
      ...head,
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta, finish_reason: finishReason }],
    });
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
  chunk({ role: "assistant", content: "" });
  if (toolCalls.length > 0) chunk({ tool_calls: toolCalls });
  else for (const piece of piecesOf(content)) chunk({ content: piece });
  chunk({}, finish);
  const options = body["stream_options"] as { include_usage?: boolean } | undefined;
  if (options?.include_usage === true) send({ ...head, object: "chat.completion.chunk", choices: [], usage });
  response.end("data: [DONE]\n\n");
}

/** What the model says, or the tools it calls: only tools that the request offers. */
export function chatAnswer(
  request: RecordedRequest,
  reply: ScriptedReply,
  answerTo: (lastMessage: string, body: Record<string, unknown>) => string,
) {
  const body = request.body ?? {};
  const tools = (body["tools"] ?? []) as { function?: { name?: string } }[];
  const calls =
    typeof reply === "object" && "toolCalls" in reply
      ? reply.toolCalls.filter(({ name }) => tools.some((tool) => tool.function?.name === name))
      : [];
  const last = lastMessage(body);
  const content = typeof reply === "object" && "answer" in reply ? reply.answer : answerTo(last, body);
  return { calls, content: calls.length > 0 ? "" : content };
}

export function tokensIn(text: string): number {
  return text.match(/\S+/g)?.length ?? 0;
}

/** Words with the space after them, so that joining them gives the text back. */
export function piecesOf(text: string): string[] {
  return text.match(/\S+\s*|\s+/g) ?? [];
}

function lastMessage(body: Record<string, unknown>): string {
  const messages = (body["messages"] ?? []) as { content?: unknown }[];
  const content = messages.at(-1)?.content;
  if (typeof content === "string") return content;
  const parts = Array.isArray(content) ? (content as { text?: string }[]) : [];
  return parts.map((part) => part.text ?? "").join("");
}

function toBase64(vector: readonly (number | null)[]): string {
  return Buffer.from(Float32Array.from(vector, (value) => value ?? Number.NaN).buffer).toString("base64");
}
