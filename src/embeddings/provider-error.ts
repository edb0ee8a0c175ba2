import { LangChainPgvectorError, ModelProviderError } from "../errors.js";
import { withoutSecrets } from "./error-body.js";
import { failureOf, mayPass, type Failure } from "./failure.js";
import { nameModel, type ModelLabel } from "./model-label.js";

/**
 * Says in one line what failed, where, and what cures it; the client's error is the `cause`.
 * Errors of this library are returned as they are.
 */
export function modelProviderError(error: unknown, label: ModelLabel, secrets: readonly string[] = []): Error {
  if (error instanceof LangChainPgvectorError) return error;
  const failure = failureOf(error);
  const said = failure.status !== undefined && failure.said !== undefined ? ` The server said: ${failure.said}` : "";
  const message = withoutSecrets(`${nameModel(label)} ${explain(failure, label)}${said}`, secrets);
  return new ModelProviderError(message, label.provider, failure.status, mayPass(error), { cause: error });
}

function explain(failure: Failure, { provider, model }: ModelLabel): string {
  switch (failure.kind) {
    case "rate-limit":
      return `is still limiting the rate (429) after every retry. Try later, or lower batchSize and maxConcurrency.`;
    case "quota":
      return `refuses because the account's quota is used up (429). Check the plan and the billing of the account.`;
    case "timeout":
      return `did not answer in time. Raise timeoutMs, lower batchSize, or check that the server is well.`;
    case "unreachable":
      return `cannot be reached: nothing answers at this address. Start the server, or correct the base URL.`;
    case "connection":
      return `closed the connection. Check the server and the network, then try again.`;
    case "malformed":
      return `answered something that is not a reply of this kind of server. Does the base URL lead to the right one?`;
    case "aborted":
      return `was interrupted.`;
    case "status":
      return explainStatus(failure.status ?? 0, provider, model);
    case "unknown":
      return `failed: ${failure.said ?? "no reason given"}`;
  }
}

function explainStatus(status: number, provider: string, model: string | undefined): string {
  if (status === 401 || status === 403) return `refused the API key (${status}). Check the key and what it may use.`;
  if (status === 404 && provider === "ollama") return `was not found (404). Run: ollama pull ${model ?? "<model>"}`;
  if (status === 404)
    return `was not found (404). Check the model's name, and that the base URL ends as it should (/v1).`;
  if (status === 413) return `found the request too large (413). Lower batchSize or the size of the chunks.`;
  if (status >= 500) return `failed (${status}) after every retry. Try later, or look at the server's log.`;
  return `refused the request (${status}).`;
}
