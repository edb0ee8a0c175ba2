import type { DocumentFormat } from "../formats.js";
import type { RecordOptions } from "./records.js";

/** The bytes of a source, and what is known about them from outside. */
export interface RawSource {
  /** What goes into `metadata.source` and into messages. */
  readonly source: string;
  readonly format: DocumentFormat;
  readonly bytes: Buffer<ArrayBuffer>;
  /** The character set that came with the bytes, such as that of an HTTP answer. */
  readonly charset?: string | undefined;
}

export interface ReadOptions {
  /** Most bytes that the entries of a ZIP-based file may have together when they are unpacked. */
  readonly maxUnpackedBytes: number;
  readonly records: RecordOptions | undefined;
}

/** A stretch of text that becomes one document. */
export interface Part {
  readonly text: string;
  /** What differs from one part of a source to the next, such as its page. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** What a reader makes of a source. */
export interface Reading {
  readonly parts: readonly Part[];
  /** For all parts. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** What the reader had to assume or to leave out, as sentences. */
  readonly notes?: readonly string[];
}
