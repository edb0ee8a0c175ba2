/**
 * The narrow part of a `pg` pool that the library uses, written structurally so that `pg.Pool`, compatible pools and the
 * embedded database all fit without an adapter.
 */
export interface QueryRequest {
  readonly text: string;
  /** Values for `$1`, `$2`, ...; a {@link BinaryParameter} is encoded by the driver's own convention. */
  readonly values?: readonly unknown[];
  /** Sends it through the extended protocol, which takes one statement only, whether or not there are values. */
  readonly queryMode?: "extended";
  /** The server keeps the statement under this name, and parses it once for a connection. */
  readonly name?: string;
}

export interface QueryReply {
  readonly rows: Record<string, unknown>[];
  readonly rowCount: number | null;
}

export interface PoolClient {
  query(request: QueryRequest): Promise<QueryReply>;
  /** Gives the connection back; `true` or an error destroys it. */
  release(destroy?: boolean | Error): void;
  on?(event: "error", listener: (error: Error) => void): unknown;
  off?(event: "error", listener: (error: Error) => void): unknown;
}

export interface Pool {
  connect(): Promise<PoolClient>;
  end(): Promise<void>;
}

/** A pool over the embedded database: one process, one backend, no wire protocol. */
export interface EmbeddedPool extends Pool {
  readonly embedded: true;
}

/**
 * A parameter with two encodings. `pg` calls `toPostgres` and sends the buffer in binary format; the embedded database
 * takes the text form.
 */
export interface BinaryParameter {
  toPostgres(): Buffer;
  toText(): string;
}

export function isBinaryParameter(value: unknown): value is BinaryParameter {
  return typeof value === "object" && value !== null && "toPostgres" in value && "toText" in value;
}

export function isEmbedded(pool: Pool): pool is EmbeddedPool {
  return "embedded" in pool && pool.embedded === true;
}
