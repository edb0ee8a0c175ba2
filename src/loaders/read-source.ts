import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import { LoadError } from "../errors.js";
import { fetchUrl, type UrlOptions } from "./fetch-url.js";
import type { FoundSource } from "./find-sources.js";
import { DOCUMENT_FORMATS, formatOf, formatOfPage, SUPPORTED_EXTENSIONS, type DocumentFormat } from "./formats.js";
import type { RawSource } from "./readers/reading.js";

export interface ReadLimits {
  readonly maxFileBytes: number;
  readonly url: UrlOptions;
  /** For standard input, and for names that say nothing. */
  readonly format: DocumentFormat | undefined;
  readonly stdin: Readable;
  readonly signal: AbortSignal | undefined;
}

/**
 * Reads the bytes of a source, and how to read them.
 *
 * @throws LoadError when it is too large, cannot be read, or has no format.
 * @throws the signal's reason when it is aborted.
 */
export async function readSource(found: FoundSource, limits: ReadLimits): Promise<RawSource> {
  const { name } = found;
  if (found.kind === "url") {
    const { bytes, mediaType, charset, path } = await fetchUrl(
      found.url,
      limits.maxFileBytes,
      limits.url,
      limits.signal,
    );
    const format = formatOfPage(mediaType, path) ?? limits.format;
    if (format === undefined) {
      throw new LoadError(`"${name}" is of the type "${mediaType}", which is not supported.`, name);
    }
    return { source: name, format, bytes, charset };
  }
  if (found.kind === "stdin") {
    return { source: name, format: limits.format ?? "text", bytes: await readStream(limits) };
  }
  const format = formatOf(found.path) ?? limits.format;
  if (format === undefined) {
    throw new LoadError(
      `"${name}" has no supported format; supported are ${SUPPORTED_EXTENSIONS.join(" ")}. ` +
        `Say how to read it with \`format\`: ${DOCUMENT_FORMATS.join(", ")}.`,
      name,
    );
  }
  return { source: name, format, bytes: await readBytes(found.path, name, limits) };
}

/** SHA-256 of the bytes in hexadecimal. */
export function hashBytes(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function readBytes(path: string, name: string, limits: ReadLimits): Promise<Buffer<ArrayBuffer>> {
  try {
    const found = await stat(path);
    if (found.size > limits.maxFileBytes) {
      const message = `"${name}" has ${found.size} bytes, more than maxFileBytes (${limits.maxFileBytes}); raise it or split the file.`;
      throw new LoadError(message, name);
    }
    return await readFile(path, limits.signal === undefined ? {} : { signal: limits.signal });
  } catch (error) {
    if (error instanceof LoadError) throw error;
    limits.signal?.throwIfAborted();
    throw new LoadError(`"${name}" cannot be read; check that it exists and its permissions.`, name, {
      cause: error,
    });
  }
}

async function readStream({ stdin, maxFileBytes, signal }: ReadLimits): Promise<Buffer<ArrayBuffer>> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of stdin) {
    signal?.throwIfAborted();
    const bytes = Buffer.from(piece as string | Uint8Array);
    size += bytes.length;
    if (size > maxFileBytes) {
      throw new LoadError(
        `Standard input has more than maxFileBytes (${maxFileBytes}); raise it or split it.`,
        "stdin",
      );
    }
    pieces.push(bytes);
  }
  return Buffer.concat(pieces);
}
