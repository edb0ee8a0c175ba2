import { isBinaryParameter } from "../db/pool.js";

/**
 * The value of one `$n` as the embedded database takes it, following the conventions of `pg`: text for everything but
 * bytes, arrays as array literals, other objects as JSON. A parameter with a text form is sent in that form.
 */
export function encodeParameter(value: unknown): string | Uint8Array | null {
  if (ArrayBuffer.isView(value)) return bytesOf(value);
  return encodeText(value);
}

function encodeText(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  // What is left can be stringified; symbols and functions have no place in a statement and raise a TypeError.
  if (typeof value !== "object") return `${value as string | number | bigint | boolean}`;
  if (isBinaryParameter(value)) return value.toText();
  if (value instanceof Date) return localTimestamp(value);
  if (Array.isArray(value)) return arrayLiteral(value);
  return JSON.stringify(value);
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function arrayLiteral(items: readonly unknown[]): string {
  return `{${items.map(arrayElement).join(",")}}`;
}

function arrayElement(item: unknown): string {
  if (Array.isArray(item)) return arrayLiteral(item);
  if (ArrayBuffer.isView(item)) return `"\\\\x${Buffer.from(bytesOf(item)).toString("hex")}"`;
  const text = encodeText(item);
  return text === null ? "NULL" : `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** Local wall-clock time with its offset, so that `date` and `timestamp` columns get the same value as through `pg`. */
function localTimestamp(date: Date): string {
  const offsetMinutes = -date.getTimezoneOffset();
  const wallClock = new Date(date.getTime() + offsetMinutes * 60_000).toISOString().replace("Z", "");
  const beforeChrist = wallClock.startsWith("-") || wallClock.startsWith("+000000");
  const year = beforeChrist ? String(1 - Number(wallClock.slice(0, 7))).padStart(4, "0") : undefined;
  const local = year === undefined ? wallClock.replace(/^\+/, "") : year + wallClock.slice(7);
  const distance = Math.abs(offsetMinutes);
  const zone = [Math.floor(distance / 60), distance % 60].map((part) => String(part).padStart(2, "0")).join(":");
  return `${local}${offsetMinutes < 0 ? "-" : "+"}${zone}${beforeChrist ? " BC" : ""}`;
}
