import { ChromaServerError, ConfigurationError } from "../errors.js";
import { pause } from "../db/pause.js";
import { collectionFrom, type ChromaCollection, type ServerCollection } from "./collection.js";

/** Where a Chroma server is, and as whom to talk to it. */
export interface ChromaConnection {
  /** @defaultValue `"http://localhost:8000"` */
  readonly url?: string | undefined;
  /** @defaultValue `"default_tenant"` */
  readonly tenant?: string | undefined;
  /** @defaultValue `"default_database"` */
  readonly database?: string | undefined;
  /** Sent with every request and never logged, such as `{ authorization: "Bearer ..." }` or `{ "x-chroma-token": "..." }`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Upper bound on one request, in milliseconds. @defaultValue 60,000 */
  readonly timeoutMs?: number | undefined;
  /** Further attempts at a request that failed for a reason that may pass. @defaultValue 4 */
  readonly retries?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

type Method = "GET" | "POST" | "PUT" | "DELETE";

export type Include = "documents" | "metadatas" | "embeddings" | "uris" | "distances";

/** Records as the server sends them, one list for each part that was asked for. */
export interface ServerRecords {
  readonly ids: string[];
  readonly embeddings?: (number[] | null)[] | null;
  readonly documents?: (string | null)[] | null;
  readonly metadatas?: (Record<string, unknown> | null)[] | null;
  readonly uris?: (string | null)[] | null;
}

export interface ServerHits {
  readonly ids: string[][];
  readonly distances?: (number | null)[][] | null;
}

/** An answer was longer than what may be held in memory; ask for less. */
export class ResponseTooLargeError extends Error {}

const PAGE_OF_COLLECTIONS = 100;
const MAX_RESPONSE_BYTES = 32 * 1024 * 1024;

/**
 * The part of Chroma's REST interface (version 2, of servers since 0.6) that moving data needs. Requests that failed
 * for a reason that may pass are made again; all of them are reads or upserts, so that is safe.
 */
export class ChromaClient {
  /** For people, without credentials. */
  readonly label: string;
  readonly #connection: ChromaConnection;
  readonly #base: string;

  /** @throws ConfigurationError when the URL is none. No I/O. */
  constructor(connection: ChromaConnection) {
    const { tenant = "default_tenant", database = "default_database" } = connection;
    const server = serverUrl(connection.url ?? "http://localhost:8000");
    this.label = server;
    this.#connection = connection;
    this.#base = `${server}/api/v2`;
    this.#scope = `/tenants/${encodeURIComponent(tenant)}/databases/${encodeURIComponent(database)}`;
  }

  readonly #scope: string;

  /** Every collection of the database, in the server's order. */
  async listCollections(): Promise<ChromaCollection[]> {
    const found: ServerCollection[] = [];
    for (;;) {
      const path = `/collections?limit=${PAGE_OF_COLLECTIONS}&offset=${found.length}`;
      const page = await this.#call<ServerCollection[]>("GET", path);
      found.push(...page);
      if (page.length < PAGE_OF_COLLECTIONS) return found.map(collectionFrom);
    }
  }

  /** @throws ChromaServerError with status 404 when there is no such collection. */
  async getCollection(name: string): Promise<ChromaCollection> {
    return collectionFrom(await this.#call<ServerCollection>("GET", `/collections/${encodeURIComponent(name)}`));
  }

  /** @throws ChromaServerError with status 409 when there is one of this name. */
  async createCollection(name: string, metadata: Record<string, unknown>): Promise<ChromaCollection> {
    const body = { name, ...(Object.keys(metadata).length > 0 && { metadata }) };
    return collectionFrom(await this.#call<ServerCollection>("POST", "/collections", body));
  }

  /** @returns whether there was one. */
  async deleteCollection(name: string): Promise<boolean> {
    return this.#call("DELETE", `/collections/${encodeURIComponent(name)}`).then(
      () => true,
      (error: unknown) => {
        if (error instanceof ChromaServerError && error.status === 404) return false;
        throw error;
      },
    );
  }

  async renameCollection(collection: string, name: string): Promise<void> {
    await this.#call("PUT", `/collections/${collection}`, { new_name: name });
  }

  count(collection: string): Promise<number> {
    return this.#call("GET", `/collections/${collection}/count`);
  }

  get(
    collection: string,
    request: { limit?: number; offset?: number; ids?: readonly string[]; include: readonly Include[] },
  ): Promise<ServerRecords> {
    return this.#call("POST", `/collections/${collection}/get`, request);
  }

  /** @param request `vectors` of the collection's dimensions; `where` and `whereDocument` as Chroma takes them */
  query(
    collection: string,
    request: { vectors: readonly (readonly number[])[]; k: number; where?: unknown; whereDocument?: unknown },
  ): Promise<ServerHits> {
    return this.#call("POST", `/collections/${collection}/query`, {
      query_embeddings: request.vectors,
      n_results: request.k,
      ...(request.where !== undefined && { where: request.where }),
      ...(request.whereDocument !== undefined && { where_document: request.whereDocument }),
      include: ["distances"],
    });
  }

  /** Stores records; `embeddings`, `documents`, `metadatas` and `uris` have the length of `ids`. */
  async upsert(collection: string, records: ServerRecords): Promise<void> {
    await this.#call("POST", `/collections/${collection}/upsert`, records);
  }

  /** The most records that one upsert may hold. */
  async maxBatchRows(): Promise<number> {
    const { max_batch_size: rows } = await this.#request<{ max_batch_size?: number }>("GET", "/pre-flight-checks");
    return rows ?? 100;
  }

  #call<T>(method: Method, path: string, body?: unknown): Promise<T> {
    return this.#request<T>(method, this.#scope + path, body);
  }

  async #request<T>(method: Method, path: string, body?: unknown): Promise<T> {
    const { retries = 4, signal } = this.#connection;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#attempt<T>(method, path, body);
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof ChromaServerError) || !error.retryable || attempt >= retries) throw error;
        await pause(200 * 2 ** attempt * (0.75 + Math.random() / 2), signal);
      }
    }
  }

  async #attempt<T>(method: Method, path: string, body: unknown): Promise<T> {
    const { headers, signal, timeoutMs = 60_000 } = this.#connection;
    const timeout = AbortSignal.timeout(timeoutMs);
    let status: number | undefined;
    let text: string;
    try {
      const response = await fetch(this.#base + path, {
        method,
        headers: { ...headers, "content-type": "application/json", accept: "application/json" },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
        // A redirect could carry the headers to another host.
        redirect: "error",
      });
      status = response.status;
      text = await readText(response);
    } catch (cause) {
      if (cause instanceof ResponseTooLargeError) throw cause;
      signal?.throwIfAborted();
      throw this.#unreachable(timeout.aborted ? `gave no answer within ${timeoutMs / 1_000} s` : reasonOf(cause));
    }
    if (status < 200 || status > 299) throw this.#refusal(method, path, status, text);
    return this.#parse(path, status, text) as T;
  }

  #parse(path: string, status: number, text: string): unknown {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      throw new ChromaServerError(
        `${this.label} answered ${path} with something else than JSON; is it a Chroma server?`,
        status,
        false,
      );
    }
  }

  // The cause of a failed fetch is left out: it may hold the request, and with it the headers.
  #unreachable(reason: string): ChromaServerError {
    return new ChromaServerError(
      `The Chroma server ${this.label} ${reason}. Check that it runs and that the URL is right.`,
      undefined,
      true,
    );
  }

  #refusal(method: string, path: string, status: number, text: string): ChromaServerError {
    const reason = this.#withoutSecrets(messageIn(text)).slice(0, 300);
    const cure =
      status === 401 || status === 403
        ? " Give the server's credentials in `headers`."
        : status === 410 || (status === 404 && !text.includes("NotFoundError"))
          ? " It may be older than 0.6: start a newer server on its data directory."
          : "";
    return new ChromaServerError(
      `The Chroma server ${this.label} refused ${method} ${path} with status ${status}: ${reason}.${cure}`,
      status,
      status === 429 || status >= 500,
    );
  }

  /** A server may quote what it was sent. */
  #withoutSecrets(text: string): string {
    const secrets = Object.values(this.#connection.headers ?? {}).flatMap((value) => [value, ...value.split(/\s+/)]);
    return secrets
      .filter((secret) => secret.length > 3)
      .reduce((cleaned, secret) => cleaned.replaceAll(secret, "***"), text);
  }
}

/** @throws ResponseTooLargeError once more has come than may be held. */
async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    // Leaving the loop cancels the rest.
    if (bytes > MAX_RESPONSE_BYTES) throw new ResponseTooLargeError(`more than ${MAX_RESPONSE_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes).toString("utf8");
}

/** @throws ConfigurationError unless it is an http(s) URL without credentials, which are never quoted. */
function serverUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && (url.username !== "" || url.password !== "")) {
    throw new ConfigurationError(
      `The URL of the Chroma server ${url.host} holds credentials; give them in \`headers\`, such as authorization: "Basic ...".`,
    );
  }
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new ConfigurationError("The URL of the Chroma server is none; write it like http://localhost:8000.");
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

/** The system's word for a failed connection, such as ECONNREFUSED. */
function reasonOf(cause: unknown): string {
  const inner = cause instanceof Error ? (cause.cause as { code?: unknown } | undefined) : undefined;
  return typeof inner?.code === "string" ? `cannot be reached (${inner.code})` : "broke the connection";
}

function messageIn(text: string): string {
  try {
    const body = JSON.parse(text) as { message?: unknown; detail?: unknown };
    const message = body.message ?? body.detail;
    return typeof message === "string" ? message : text;
  } catch {
    return text.trim() || "no reason given";
  }
}
