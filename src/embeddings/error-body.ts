/** OpenAI's clients read `{ error: { message } }`, Ollama's `{ error: "..." }`. */
export type ErrorShape = "openai" | "ollama";

/**
 * An error reply with its text in the form the client understands: compatible servers and proxies answer with HTML pages,
 * `{ detail }` or `{ message }`, of which the clients show a whole page or nothing (and Ollama's prints to the console).
 * Secrets that the server quotes back are replaced by `***`.
 */
export async function readableErrorBody(
  response: Response,
  shape: ErrorShape,
  secrets: readonly string[],
): Promise<Response> {
  const text = withoutSecrets(await response.text(), secrets);
  const body = parse(text);
  const message = messageIn(body) ?? summary(text, response);
  const code = detailsIn(body)["code"];
  const headers = new Headers(response.headers);
  // The body is another one now: its old length and compression no longer apply.
  headers.delete("content-length");
  headers.delete("content-encoding");
  headers.set("content-type", "application/json");
  const reply =
    shape === "openai" ? { error: { message, ...(code === undefined ? {} : { code }) } } : { error: message };
  return new Response(JSON.stringify(reply), { status: response.status, statusText: response.statusText, headers });
}

/** Replaces every occurrence of the secrets, those of under four characters apart, which could be any word. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  return secrets.filter((secret) => secret.length >= 4).reduce((kept, secret) => kept.replaceAll(secret, "***"), text);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The object that carries `message` and `code`: `error` of the reply, or the reply itself. */
function detailsIn(body: unknown): Record<string, unknown> {
  if (!isRecord(body)) return {};
  return isRecord(body["error"]) ? body["error"] : body;
}

function messageIn(body: unknown): string | undefined {
  if (!isRecord(body)) return undefined;
  const details = detailsIn(body);
  return [details["message"], details["error"], details["detail"]].find(
    (value): value is string => typeof value === "string",
  );
}

function summary(text: string, response: Response): string {
  const words = text
    .replace(/<(style|script)\b[\s\S]*?<\/\1>/gi, " ")
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ")
    .trim();
  return words === "" ? response.statusText || `status ${response.status}` : words.slice(0, 200);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
