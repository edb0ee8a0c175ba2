import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { replyModelNotFound, replyOllamaChat, replyOllamaEmbed } from "./ollama-wire.js";
import { replyChat, replyEmbeddings } from "./openai-wire.js";
import { misbehave, sendJson, type RecordedRequest, type ScriptedReply } from "./model-script.js";

export interface OpenAIServerOptions {
  /** Length of the vectors when the request does not say. @defaultValue 64 */
  readonly dimensions?: number;
  /** What the chat model answers. @defaultValue `Echo: ` and the last message */
  readonly answer?: (lastMessage: string, body: Record<string, unknown>) => string;
  /** Models that Ollama's side has. @defaultValue every model */
  readonly ollamaModels?: readonly string[];
}

export interface OpenAIServer {
  /** Base URL of OpenAI's format, ending in `/v1`. */
  readonly url: string;
  /** Base URL of Ollama's format. */
  readonly ollamaUrl: string;
  /** Every request that has arrived, oldest first. */
  readonly requests: RecordedRequest[];
  /** Queues replies, one for each of the next POST requests; when the queue is empty, the usual one follows. */
  script(...replies: ScriptedReply[]): void;
  /** Sets the usual reply: `ok` unless set. */
  always(reply: ScriptedReply): void;
  /** Ends open connections too, those of time-outs included. */
  close(): Promise<void>;
}

/**
 * Starts a server on a free port of 127.0.0.1 that speaks OpenAI's wire format under `/v1` and Ollama's under `/api`.
 *
 * @example
 * const server = await startOpenAIServer();
 * server.script({ status: 429, retryAfter: 1 }, "ok");
 */
export async function startOpenAIServer(options: OpenAIServerOptions = {}): Promise<OpenAIServer> {
  const requests: RecordedRequest[] = [];
  let queue: ScriptedReply[] = [];
  let usual: ScriptedReply = "ok";
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const recorded = await record(request);
    requests.push(recorded);
    const reply = recorded.method === "POST" ? (queue.shift() ?? usual) : "ok";
    if (!misbehave(reply, recorded, response)) route(recorded, response, reply, options);
  };
  const server = createServer((request, response) => {
    // Fails when the client goes away in the middle of its request, or sends no JSON.
    handle(request, response).catch(() => response.destroy());
  });
  const origin = await listen(server);
  return {
    url: `${origin}/v1`,
    ollamaUrl: origin,
    requests,
    script: (...replies) => void queue.push(...replies),
    always(reply) {
      usual = reply;
      queue = [];
    },
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}

function route(request: RecordedRequest, response: ServerResponse, reply: ScriptedReply, options: OpenAIServerOptions) {
  const { dimensions = 64, answer = (last: string) => `Echo: ${last}`, ollamaModels } = options;
  switch (`${request.method} ${request.path}`) {
    case "POST /v1/embeddings":
      return replyEmbeddings(request, response, reply, dimensions);
    case "POST /v1/chat/completions":
      return replyChat(request, response, reply, answer);
    case "GET /v1/models":
      return sendJson(response, { object: "list", data: [{ id: "test-model", object: "model", owned_by: "test" }] });
    case "POST /api/embed":
    case "POST /api/chat": {
      const model = String(request.body?.["model"]);
      if (ollamaModels && !ollamaModels.includes(model)) return replyModelNotFound(request, response);
      return request.path === "/api/embed"
        ? replyOllamaEmbed(request, response, reply, dimensions)
        : replyOllamaChat(request, response, reply, answer);
    }
    default:
      return sendJson(response, { error: { message: `No route ${request.method} ${request.path}`, code: null } }, 404);
  }
}

async function record(request: IncomingMessage): Promise<RecordedRequest> {
  const at = performance.now();
  let text = "";
  request.setEncoding("utf8");
  for await (const part of request) text += String(part);
  return {
    method: request.method ?? "",
    path: (request.url ?? "").split("?")[0] ?? "",
    headers: request.headers,
    body: text === "" ? undefined : (JSON.parse(text) as Record<string, unknown>),
    at,
  };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
