import { ConfigurationError } from "../errors.js";
import { redactUrl } from "./redact.js";

/**
 * Where Ollama listens according to `OLLAMA_BASE_URL` (LangChain's variable) or `OLLAMA_HOST` (Ollama's own, which may
 * lack scheme, host or port, and may be an address to bind to rather than one to call).
 *
 * @returns `undefined` when neither is set.
 * @throws ConfigurationError when the value cannot be read as an address.
 */
export function ollamaUrl(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const text = env["OLLAMA_BASE_URL"] ?? env["OLLAMA_HOST"];
  if (text === undefined) return undefined;
  const trimmed = text.trim();
  const hasScheme = /^https?:\/\//i.test(trimmed);
  const full = hasScheme ? trimmed : `http://${trimmed.startsWith(":") ? `127.0.0.1${trimmed}` : trimmed}`;
  if (!URL.canParse(full)) {
    const name = env["OLLAMA_BASE_URL"] === undefined ? "OLLAMA_HOST" : "OLLAMA_BASE_URL";
    throw new ConfigurationError(
      `${name} is "${redactUrl(text)}", which is no address. Write it like 127.0.0.1:11434.`,
    );
  }
  const url = new URL(full);
  if (url.hostname === "0.0.0.0" || url.hostname === "[::]") url.hostname = "127.0.0.1";
  if (!hasScheme && url.port === "" && !trimmed.endsWith(":80")) url.port = "11434";
  return url.href.replace(/\/$/, "");
}
