import type pg from "pg";
import { orAbort } from "./abort.js";

/** What a `copy ... from stdin` is fed with. */
export interface CopySource {
  /** Ready protocol messages, see {@link COPY_DATA}. May be asked for again when the transaction is run again. */
  chunks(): Iterable<Buffer>;
  /** How many chunks keep their contents while further ones are made: the next one overwrites the oldest. */
  readonly buffers: number;
}

/** First byte of a CopyData message; four bytes with the length of the message without this byte follow. */
export const COPY_DATA = 0x64;
const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4]);

/** The part of `pg`'s connection that a submitted query talks to; not in its published types. */
interface Connection {
  readonly stream: NodeJS.WritableStream;
  query(text: string): void;
}

/** Runs `copy ... from stdin` and feeds it no faster than the socket takes it. */
export function copyIn(client: pg.Client, text: string, source: CopySource, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const query = new CopyInQuery(text, source, signal, (error) => (error === undefined ? resolve() : reject(error)));
    client.query(query as unknown as pg.Submittable);
  });
}

/** @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY */
class CopyInQuery {
  #failure: Error | undefined;
  #ended = false;

  constructor(
    private readonly text: string,
    private readonly source: CopySource,
    private readonly signal: AbortSignal | undefined,
    /** Under this name, because the driver replaces it where it watches over a query's time. */
    public callback: (error?: Error) => void,
  ) {}

  submit(connection: Connection): void {
    connection.query(this.text);
  }

  handleCopyInResponse(connection: Connection): void {
    void this.#feed(connection.stream);
  }

  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}

  /** The server refused, or the connection is gone: then no ReadyForQuery follows. */
  handleError(error: Error): void {
    this.#ended = true;
    this.#failure ??= error;
    this.callback(this.#failure);
    this.callback = () => undefined;
  }

  handleReadyForQuery(): void {
    this.#ended = true;
    this.callback(this.#failure);
    this.callback = () => undefined;
  }

  async #feed(stream: NodeJS.WritableStream): Promise<void> {
    const writing: Promise<void>[] = [];
    try {
      for (const chunk of this.source.chunks()) {
        writing.push(write(stream, chunk));
        if (writing.length >= this.source.buffers) await orAbort(writing.shift()!, this.signal);
        this.signal?.throwIfAborted();
        if (this.#ended) return;
      }
      await Promise.all(writing);
      if (!this.#ended) stream.write(COPY_DONE);
    } catch (error) {
      if (this.#ended) return;
      this.#failure = error as Error;
      stream.write(copyFail());
    } finally {
      for (const last of writing) last.catch(() => undefined);
    }
  }
}

function write(stream: NodeJS.WritableStream, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}

function copyFail(): Buffer {
  const reason = "the client stopped\0";
  const message = Buffer.alloc(5 + reason.length, 0x66);
  message.writeInt32BE(4 + reason.length, 1);
  message.write(reason, 5);
  return message;
}
