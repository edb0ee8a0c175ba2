import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import type { Readable } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { LoadError } from "../errors.js";
import { checkHost, PrivateAddressError, publicLookup } from "./safe-address.js";

export interface UrlOptions {
  /** Lets URLs and redirects lead to loopback, private and link-local addresses. @defaultValue false */
  readonly allowPrivate?: boolean;
  /** For the whole of a URL: look-up, redirects and body. @defaultValue 30_000 */
  readonly timeoutMs?: number;
  /** @defaultValue 5 */
  readonly maxRedirects?: number;
}

export interface FetchedUrl {
  readonly bytes: Buffer<ArrayBuffer>;
  /** Without parameters, in lower case; `""` when there is none. */
  readonly mediaType: string;
  readonly charset: string | undefined;
  /** Path of the address that answered. */
  readonly path: string;
}

const TIMEOUT_MS = 30_000;
const MAX_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/**
 * Reads a page with GET. Every hop is checked: only http and https, no credentials, no private address (by the address
 * that the connection really goes to), no step from https down to http.
 *
 * @throws LoadError when that fails, the answer is no success, larger than `maxBytes` when unpacked, or takes too long.
 * @throws the signal's reason when it is aborted.
 */
export async function fetchUrl(
  url: URL,
  maxBytes: number,
  options: UrlOptions,
  signal: AbortSignal | undefined,
): Promise<FetchedUrl> {
  const { timeoutMs = TIMEOUT_MS, maxRedirects = MAX_REDIRECTS, allowPrivate = false } = options;
  const source = url.href;
  const timeout = AbortSignal.timeout(timeoutMs);
  const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  try {
    let current = url;
    for (let hop = 0; ; hop += 1) {
      checkUrl(current, url, allowPrivate);
      const response = await request(current, allowPrivate, either);
      const status = response.statusCode ?? 0;
      const location = response.headers.location;
      if (REDIRECTS.has(status) && location !== undefined) {
        response.destroy();
        if (hop >= maxRedirects) throw new LoadError(`"${source}" redirects more than ${maxRedirects} times.`, source);
        const next = new URL(location, current);
        if (current.protocol === "https:" && next.protocol === "http:") {
          throw new LoadError(`"${source}" redirects from https to http, which is refused.`, source);
        }
        current = next;
        continue;
      }
      if (status < 200 || status > 299) {
        response.destroy();
        throw new LoadError(`"${source}" answered with status ${status}.`, source);
      }
      return { ...(await readBody(response, source, maxBytes)), path: current.pathname };
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof LoadError) throw error;
    if (timeout.aborted) throw new LoadError(`"${source}" took longer than ${timeoutMs} ms.`, source, { cause: error });
    if (error instanceof PrivateAddressError) {
      const message = `"${source}" is refused: ${error.message}. Set allowPrivate to read from your own network.`;
      throw new LoadError(message, source, { cause: error });
    }
    const reason = error instanceof Error ? error.message : String(error);
    throw new LoadError(`"${source}" cannot be read: ${reason}`, source, { cause: error });
  }
}

function checkUrl(url: URL, from: URL, allowPrivate: boolean): void {
  const via = url === from ? "" : `, to which "${from.href}" redirects,`;
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new LoadError(`"${url.protocol}//..."${via} is no web address; use http or https.`, from.href);
  }
  if (url.username !== "" || url.password !== "") {
    const place = `${url.protocol}//${url.host}/...`;
    throw new LoadError(`"${place}"${via} holds a user name or password, which would be stored.`, place);
  }
  if (!allowPrivate) checkHost(url.hostname);
}

function request(url: URL, allowPrivate: boolean, signal: AbortSignal): Promise<IncomingMessage> {
  const { get } = url.protocol === "https:" ? https : http;
  return new Promise((resolve, reject) => {
    const sent = get(
      url,
      {
        signal,
        // A connection of its own, so that none is reused that was checked under other rules.
        agent: false,
        ...(!allowPrivate && { lookup: publicLookup }),
        headers: { accept: "*/*", "accept-encoding": "gzip, deflate, br", "user-agent": "langchain-pgvector" },
      },
      resolve,
    );
    sent.on("error", reject);
  });
}

async function readBody(
  response: IncomingMessage,
  source: string,
  maxBytes: number,
): Promise<Omit<FetchedUrl, "path">> {
  const tooLarge = (): LoadError =>
    new LoadError(`"${source}" has more than ${maxBytes} bytes (maxFileBytes); raise the limit.`, source);
  if (Number(response.headers["content-length"] ?? 0) > maxBytes) {
    response.destroy();
    throw tooLarge();
  }
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of unpacked(response)) {
    size += (piece as Buffer).length;
    if (size > maxBytes) {
      response.destroy();
      throw tooLarge();
    }
    pieces.push(piece as Buffer);
  }
  const [mediaType = "", ...parameters] = (response.headers["content-type"] ?? "").split(";");
  const charset = /charset\s*=\s*"?([^";\s]+)/i.exec(parameters.join(";"))?.[1];
  return { bytes: Buffer.concat(pieces), mediaType: mediaType.trim().toLowerCase(), charset };
}

function unpacked(response: IncomingMessage): Readable {
  const encoding = response.headers["content-encoding"];
  const unpack =
    encoding === "gzip" || encoding === "x-gzip"
      ? createGunzip()
      : encoding === "br"
        ? createBrotliDecompress()
        : encoding === "deflate"
          ? createInflate()
          : undefined;
  if (unpack === undefined) return response;
  response.on("error", (error) => unpack.destroy(error));
  return response.pipe(unpack);
}
