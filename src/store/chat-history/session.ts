import { ConfigurationError } from "../../errors.js";

/** Beside it an entry of the primary key has to hold a tenant of 180 bytes, of 2,704 in all. */
const MAX_SESSION_BYTES = 500;

/** @throws ConfigurationError when the value cannot be the id of a conversation */
export function checkSession(sessionId: unknown): string {
  if (typeof sessionId !== "string" || sessionId === "") {
    throw new ConfigurationError(
      `A session id is a non-empty string, got ${JSON.stringify(sessionId) ?? "undefined"}.`,
    );
  }
  if (sessionId.includes("\0") || !sessionId.isWellFormed() || Buffer.byteLength(sessionId) > MAX_SESSION_BYTES) {
    throw new ConfigurationError(
      `The session id ${JSON.stringify(sessionId.slice(0, 40))} holds a NUL or half of a surrogate pair, or has more than ` +
        `${MAX_SESSION_BYTES} bytes.`,
    );
  }
  return sessionId;
}
