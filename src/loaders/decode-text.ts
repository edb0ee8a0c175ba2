export interface DecodedText {
  /** The text without byte order mark and without NUL characters; line ends as in the file. */
  readonly text: string;
  /** Set when the bytes were not UTF-8. */
  readonly encoding?: "utf-16le" | "utf-16be" | "windows-1252";
}

const SAMPLE_BYTES = 8192;
const BINARY_SHARE = 0.1;

/**
 * Decode the bytes of a text file.
 *
 * UTF-16 is recognised by its byte order mark. Bytes that are not valid UTF-8 are read as windows-1252, the superset of
 * latin1 in which every byte means something. NUL characters go, because Postgres cannot store them.
 */
export function decodeText(bytes: Uint8Array): DecodedText {
  const utf16 = utf16Mark(bytes);
  if (utf16 !== undefined) return { text: withoutNul(new TextDecoder(utf16).decode(bytes)), encoding: utf16 };
  try {
    return { text: withoutNul(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) };
  } catch {
    return { text: withoutNul(new TextDecoder("windows-1252").decode(bytes)), encoding: "windows-1252" };
  }
}

/**
 * Whether the first 8 KiB look like no text at all: more than a tenth of them control characters. A stray NUL in a log
 * file passes; UTF-16 without its byte order mark does not, because it cannot be told from other binary data.
 */
export function looksBinary(bytes: Uint8Array): boolean {
  if (utf16Mark(bytes) !== undefined) return false;
  const sample = bytes.subarray(0, SAMPLE_BYTES);
  let controls = 0;
  for (const byte of sample) if (isControl(byte)) controls += 1;
  return controls > sample.length * BINARY_SHARE;
}

function isControl(byte: number): boolean {
  // Tab to carriage return are layout, and escape (0x1b) colours terminal logs.
  return byte < 0x09 || (byte > 0x0d && byte < 0x1b) || (byte > 0x1b && byte < 0x20);
}

function utf16Mark(bytes: Uint8Array): "utf-16le" | "utf-16be" | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return "utf-16be";
  return undefined;
}

function withoutNul(text: string): string {
  return text.includes("\0") ? text.replaceAll("\0", "") : text;
}
