/** The built-in embedder: no network, no key; `dimensions` is the length of its vectors. */
export interface OfflineEmbeddingsSpec {
  readonly provider: "offline";
  readonly dimensions?: number;
}

/** What the network providers have in common. */
interface RemoteEmbeddingsSpec {
  /** Address of the server. Credentials in it are sent as basic authentication and never shown. */
  readonly baseUrl?: string;
  /** Asks the server for vectors of this length; leave it out for the model's own. */
  readonly dimensions?: number;
  /** How long one request may take. */
  readonly timeoutMs?: number;
  /** Further attempts after the first one failed for a reason that may pass. @defaultValue 5 */
  readonly maxRetries?: number;
  /** Texts in one request. */
  readonly batchSize?: number;
  /** Requests in flight at a time. */
  readonly maxConcurrency?: number;
}

/** OpenAI, or any server that speaks its format when `baseUrl` is set. */
export interface OpenAIEmbeddingsSpec extends RemoteEmbeddingsSpec {
  readonly provider: "openai";
  /** @defaultValue `text-embedding-3-small` */
  readonly model?: string;
  /** Needed without a `baseUrl`; local servers mostly want none. */
  readonly apiKey?: string;
}

/** A model served by Ollama. */
export interface OllamaEmbeddingsSpec extends RemoteEmbeddingsSpec {
  readonly provider: "ollama";
  /** @defaultValue `nomic-embed-text` */
  readonly model?: string;
}

/** Which embedder to make; see `createEmbeddings`. */
export type EmbeddingsSpec = OfflineEmbeddingsSpec | OpenAIEmbeddingsSpec | OllamaEmbeddingsSpec;

export type EmbeddingsProvider = EmbeddingsSpec["provider"];

/** Where OpenAI itself answers. */
export const OPENAI_URL = "https://api.openai.com/v1";

/** Where Ollama listens unless it is told otherwise. */
export const OLLAMA_URL = "http://127.0.0.1:11434";

/** What a spec leaves out. Ollama gets small batches, one at a time: it often runs on a CPU and loads the model first. */
export const EMBEDDINGS_DEFAULTS = {
  openai: { model: "text-embedding-3-small", timeoutMs: 60_000, batchSize: 256, maxConcurrency: 2 },
  ollama: { model: "nomic-embed-text", timeoutMs: 120_000, batchSize: 64, maxConcurrency: 1 },
} as const;

export const DEFAULT_MAX_RETRIES = 5;
