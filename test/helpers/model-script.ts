import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** A tool call that the chat model makes instead of an answer. */
export interface ScriptedToolCall {
  readonly name: string;
  readonly args: Record<string, unknown>;
}

/**
 * What the server does with one request. Words are misbehaviours, `ok` the normal reply; `floats` answers numbers although
 * base64 was asked for, `shuffled` sends the vectors in another order with the right `index`, `nan-literal` writes `NaN`
 * into the JSON as Python does.
 */
export type ScriptedReply =
  | "ok"
  | "timeout"
  | "reset"
  | "html"
  | "html-200"
  | "unauthorized"
  | "quota"
  | "wrong-dimension"
  | "ragged"
  | "floats"
  | "shuffled"
  | "empty-data"
  | "one-short"
  | "empty-vector"
  | "nan"
  | "nan-literal"
  | {
      readonly status: number;
      /** Seconds. */
      readonly retryAfter?: number;
      readonly retryAfterMs?: number;
      /** @defaultValue an error in OpenAI's format, in Ollama's under /api */
      readonly body?: unknown;
    }
  | { readonly answer: string }
  | { readonly toolCalls: readonly ScriptedToolCall[] };

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The parsed JSON body, `undefined` when there was none. */
  readonly body: Record<string, unknown> | undefined;
  /** Milliseconds, of `performance.now()`. */
  readonly at: number;
}

export function sendJson(response: ServerResponse, body: unknown, status = 200, headers: Record<string, string> = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(text);
}

const PAGE = "<!doctype html><html><head><title>502</title></head><body><h1>502 Bad Gateway</h1></body></html>";

/**
 * Does those scripted replies that are the same for every endpoint.
 *
 * @returns whether the request has been dealt with
 */
export function misbehave(reply: ScriptedReply, request: RecordedRequest, response: ServerResponse): boolean {
  const error = (message: string, type: string, code: string | null): unknown =>
    request.path.startsWith("/api") ? { error: message } : { error: { message, type, code, param: null } };
  if (typeof reply === "object" && "status" in reply) {
    const headers = {
      ...(reply.retryAfter === undefined ? {} : { "retry-after": String(reply.retryAfter) }),
      ...(reply.retryAfterMs === undefined ? {} : { "retry-after-ms": String(reply.retryAfterMs) }),
    };
    const text = reply.status === 429 ? "Rate limit reached for requests" : `Scripted failure ${reply.status}`;
    sendJson(response, reply.body ?? error(text, "scripted", null), reply.status, headers);
    return true;
  }
  switch (reply) {
    case "timeout":
      return true;
    case "reset":
      (response.socket as Socket).resetAndDestroy();
      return true;
    case "html":
      response.writeHead(502, { "content-type": "text/html" }).end(PAGE);
      return true;
    case "html-200":
      response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
      return true;
    case "unauthorized": {
      // Echoes the whole key, as careless servers do.
      const key = String(request.headers["authorization"] ?? "").replace(/^\w+ /, "");
      const said = `Incorrect API key provided: ${key}. You can find your API key in the settings.`;
      sendJson(response, error(said, "invalid_request_error", "invalid_api_key"), 401);
      return true;
    }
    case "quota":
      sendJson(response, error("You exceeded your current quota.", "insufficient_quota", "insufficient_quota"), 429);
      return true;
    default:
      return false;
  }
}
