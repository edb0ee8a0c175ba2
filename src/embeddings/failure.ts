import { parseRetryAfterMs } from "@langchain/core/utils/async_caller";
import { ModelProviderError } from "../errors.js";

/**
 * Why a call of a model server failed, read from the error of whichever client made it: `unreachable` is an address where
 * nothing listens, `connection` one that broke, `malformed` an answer that is not the expected format.
 */
export type FailureKind =
  "status" | "rate-limit" | "quota" | "timeout" | "unreachable" | "connection" | "malformed" | "aborted" | "unknown";

export interface Failure {
  readonly kind: FailureKind;
  /** HTTP status, when the server answered. */
  readonly status?: number;
  /** How long the server asks to wait. */
  readonly retryAfterMs?: number;
  /** What the server said, one line of at most 300 characters. */
  readonly said?: string;
}

const UNREACHABLE = new Set(["ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH", "ERR_INVALID_URL"]);
const BROKEN = new Set(["ECONNRESET", "EPIPE", "EAI_AGAIN", "UND_ERR_SOCKET"]);
const TIMED_OUT = new Set(["ETIMEDOUT", "UND_ERR_CONNECT_TIMEOUT", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"]);

/** Reads an error by its status, code and name, never by its text. */
export function failureOf(error: unknown): Failure {
  // LangChain wraps some replies (a text that is too long) in errors of its own, without the status.
  const reply = causesOf(error).find((link) => statusOf(link) !== undefined);
  const status = statusOf(reply);
  const said = saidBy(reply ?? error);
  if (status === undefined) return { kind: kindWithoutStatus(error), said };
  if (status === 408) return { kind: "timeout", status, said };
  if (status !== 429) return { kind: "status", status, said };
  const kind = stringAt(reply, "code") === "insufficient_quota" ? "quota" : "rate-limit";
  return { kind, status, said, retryAfterMs: retryAfterMsOf(reply) };
}

const PASSING: ReadonlySet<FailureKind> = new Set(["rate-limit", "timeout", "unreachable", "connection"]);

/** Whether the same call may succeed a little later. */
export function mayPass(error: unknown): boolean {
  if (error instanceof ModelProviderError) return error.retryable;
  const { kind, status } = failureOf(error);
  return PASSING.has(kind) || (status ?? 0) >= 500;
}

/** The HTTP status, under the name it has in OpenAI's and in Ollama's client. */
function statusOf(error: unknown): number | undefined {
  return numberAt(error, "status") ?? numberAt(error, "status_code");
}

function kindWithoutStatus(error: unknown): FailureKind {
  const chain = causesOf(error);
  const names = chain.map((link) => stringAt(link, "name"));
  const codes = chain.map((link) => stringAt(link, "code") ?? "");
  // OpenAI's client reports its own time-out as a class name, fetch as a DOMException of this name.
  if (names.some((name) => name === "TimeoutError" || name === "APIConnectionTimeoutError")) return "timeout";
  if (codes.some((code) => TIMED_OUT.has(code))) return "timeout";
  if (codes.some((code) => UNREACHABLE.has(code))) return "unreachable";
  if (codes.some((code) => BROKEN.has(code))) return "connection";
  if (names.includes("AbortError")) return "aborted";
  // A reply that is not JSON, or that lacks a field which the client then reads.
  if (chain.some((link) => link instanceof SyntaxError || link instanceof TypeError)) return "malformed";
  return "unknown";
}

/** The error and its causes, outermost first, at most five. */
function causesOf(error: unknown): unknown[] {
  const chain: unknown[] = [];
  for (let link = error; link !== undefined && link !== null && chain.length < 5; link = valueAt(link, "cause")) {
    chain.push(link);
  }
  return chain;
}

function retryAfterMsOf(error: unknown): number | undefined {
  const headers = valueAt(error, "headers");
  if (!(headers instanceof Headers)) return undefined;
  const exact = Number.parseFloat(headers.get("retry-after-ms") ?? "");
  return exact >= 0 ? exact : parseRetryAfterMs(headers.get("retry-after"));
}

function saidBy(error: unknown): string | undefined {
  const body = valueAt(error, "error");
  const text = typeof body === "string" ? body : (stringAt(body, "message") ?? stringAt(error, "message"));
  const line = text?.replace(/\s+/g, " ").trim();
  return line === undefined || line === "" ? undefined : line.slice(0, 300);
}

function valueAt(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

function stringAt(value: unknown, key: string): string | undefined {
  const found = valueAt(value, key);
  return typeof found === "string" ? found : undefined;
}

function numberAt(value: unknown, key: string): number | undefined {
  const found = valueAt(value, key);
  return typeof found === "number" ? found : undefined;
}
