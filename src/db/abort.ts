import { connect } from "node:net";

const CANCEL_REQUEST = 80_877_102;
const CANCEL_TIMEOUT_MS = 5_000;

/** Settles as `work` does, or rejects with the signal's reason once it fires; `work` itself goes on. */
export function orAbort<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** What a connected `pg` client knows about its backend; not in its published types. */
interface Backend {
  readonly host: string;
  readonly port: number;
  readonly processID: number;
  readonly secretKey: number;
  readonly connection: { readonly stream: { readonly remoteAddress?: string; readonly remotePort?: number } };
}

/**
 * Asks the server to cancel what this client is running, and resolves when the server has passed it on (or cannot be
 * reached). Uses the protocol's own cancel message on a connection of its own: that needs no place in the pool, which
 * may be exhausted, and poolers understand it, whose process ids are made up.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export function cancelBackend(client: object): Promise<void> {
  const { host, port, processID, secretKey, connection } = client as Partial<Backend>;
  if (typeof processID !== "number" || typeof secretKey !== "number" || host === undefined || port === undefined) {
    return Promise.resolve();
  }
  const message = Buffer.alloc(16);
  [message.length, CANCEL_REQUEST, processID, secretKey].forEach((value, index) =>
    message.writeInt32BE(value, 4 * index),
  );
  const { remoteAddress, remotePort } = connection?.stream ?? {};
  const socket = host.startsWith("/")
    ? connect(`${host}/.s.PGSQL.${port}`)
    : // The very server that the client talks to, which a name with several addresses may not find again.
      connect(remotePort ?? port, remoteAddress ?? host);
  return new Promise((resolve) => {
    socket.setTimeout(CANCEL_TIMEOUT_MS, () => socket.destroy());
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
    socket.on("connect", () => socket.write(message));
    // The server closes the connection when the signal is on its way.
    socket.resume();
  });
}
