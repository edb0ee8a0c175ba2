import { analyse } from "chardet";

export interface DecodedText {
  /** The text without byte order mark and without NUL characters; line ends as in the file. */
  readonly text: string;
  /** Set when the bytes were not UTF-8. */
  readonly encoding?: string;
  /** Set when single bytes were no UTF-8 and stand as U+FFFD now: how many. */
  readonly replaced?: number;
}

const SAMPLE_BYTES = 8192;
const DETECTION_BYTES = 65_536;
const BINARY_SHARE = 0.1;

/** Encodings that a statistical guess is taken for. Those of Western Europe look alike; they stay windows-1252. */
const DETECTABLE = /^(?:Shift_JIS|EUC-JP|ISO-2022-JP|Big5|GB18030|EUC-KR|KOI8-R|windows-125[13456]|ISO-8859-[5678])$/;
const DETECTION_CONFIDENCE = 45;

/**
 * Decode the bytes of a text file.
 *
 * UTF-16 is recognised by its byte order mark. What is not valid UTF-8 is read as what `charset` says; as UTF-8 with
 * replacements when only a few bytes are wrong; as an encoding of another script that its letters point to; else as
 * windows-1252, the superset of latin1 in which every byte means something. NUL characters go, because Postgres cannot
 * store them.
 *
 * @param charset what came with the bytes; one that is not known is passed over.
 */
export function decodeText(bytes: Uint8Array, charset?: string): DecodedText {
  const utf16 = utf16Mark(bytes);
  if (utf16 !== undefined) return { text: withoutNul(new TextDecoder(utf16).decode(bytes)), encoding: utf16 };
  try {
    return { text: withoutNul(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) };
  } catch {
    return decodeOther(bytes, charset);
  }
}

function decodeOther(bytes: Uint8Array, charset: string | undefined): DecodedText {
  const given = charset === undefined ? undefined : decoder(charset);
  if (given !== undefined && given.encoding !== "utf-8") {
    return { text: withoutNul(given.decode(bytes)), encoding: given.encoding };
  }
  const lenient = new TextDecoder("utf-8").decode(bytes);
  const replaced = lenient.match(/\ufffd/g)?.length ?? 0;
  const letters = lenient.match(/[^\p{ASCII}\ufffd]/gu)?.length ?? 0;
  if (letters >= 4 * replaced) return { text: withoutNul(lenient), replaced };
  const guess = analyse(bytes.subarray(0, DETECTION_BYTES))[0];
  const detected =
    guess !== undefined && guess.confidence >= DETECTION_CONFIDENCE && DETECTABLE.test(guess.name)
      ? decoder(guess.name)
      : undefined;
  const chosen = detected ?? new TextDecoder("windows-1252");
  return { text: withoutNul(chosen.decode(bytes)), encoding: chosen.encoding };
}

function decoder(label: string): InstanceType<typeof TextDecoder> | undefined {
  try {
    return new TextDecoder(label);
  } catch {
    return undefined;
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
