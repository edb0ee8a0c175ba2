import { readableErrorBody, type ErrorShape } from "./error-body.js";
import { failureOf } from "./failure.js";

export interface TransportOptions {
  /** Keys and passwords: replaced by `***` in whatever an error reply quotes. */
  readonly secrets: readonly string[];
  /** The form in which the client at hand expects the text of an error. */
  readonly errorShape: ErrorShape;
  /** Replaces the client's `authorization` header. */
  readonly authorization?: string;
  /** Limit of one request, body included; for clients without one of their own. */
  readonly timeoutMs?: number;
}

/** How a model client reaches its server: give `fetch` and `onFailedAttempt` to the client. */
export interface Transport {
  readonly fetch: typeof fetch;
  /**
   * Decides about another attempt, in the form LangChain's caller wants: throws the error when there is to be none.
   * Its default gives up on a 429 without `retry-after`, ignores `retry-after-ms`, and retries Ollama's 404.
   */
  readonly onFailedAttempt: (error: unknown) => void;
}

/** A server that asks for a longer wait than this is treated as failing. */
const LONGEST_WAIT_MS = 60_000;

const WORTH_RETRYING = new Set([500, 502, 503, 504, 529]);

/** Makes the transport of one model client; what it has learnt about the server is not shared. */
export function createTransport(options: TransportOptions): Transport {
  let answered = false;
  return {
    async fetch(input, init) {
      const headers = new Headers(init?.headers);
      if (options.authorization !== undefined) headers.set("authorization", options.authorization);
      const response = await fetch(input, { ...init, headers, signal: signalFor(init?.signal, options.timeoutMs) });
      answered = true;
      return response.ok ? response : await readableErrorBody(response, options.errorShape, options.secrets);
    },
    onFailedAttempt(error) {
      const { kind, status, retryAfterMs } = failureOf(error);
      // A server that has never answered is a wrong address or not started: waiting only hides the message.
      const again =
        kind === "timeout" ||
        kind === "connection" ||
        (kind === "unreachable" && answered) ||
        (kind === "rate-limit" && (retryAfterMs ?? 0) <= LONGEST_WAIT_MS) ||
        (kind === "status" && status !== undefined && WORTH_RETRYING.has(status));
      if (!again) throw error;
      // LangChain's retry loop waits at least this long before the next attempt.
      if (retryAfterMs !== undefined) Object.assign(error as object, { retryAfterMs });
    },
  };
}

function signalFor(given: AbortSignal | null | undefined, timeoutMs: number | undefined): AbortSignal | undefined {
  const limit = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
  if (!given) return limit;
  return limit ? AbortSignal.any([given, limit]) : given;
}
