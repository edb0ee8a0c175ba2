import { crc32, deflateRawSync } from "node:zlib";

/** An entry as text, or as deflated bytes with a size that may be a lie. */
export type ZipEntry = string | { readonly deflated: Buffer; readonly size: number };

/** A ZIP file with these entries, written by hand: local headers with data, then the directory. */
export function zipOf(entries: Readonly<Record<string, ZipEntry>>): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, entry] of Object.entries(entries)) {
    const data = typeof entry === "string" ? deflateRawSync(entry) : entry.deflated;
    const size = typeof entry === "string" ? Buffer.byteLength(entry) : entry.size;
    const crc = typeof entry === "string" ? crc32(entry) : 0;
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt16LE(8, 4);
    shared.writeUInt32LE(crc, 10);
    shared.writeUInt32LE(data.length, 14);
    shared.writeUInt32LE(size, 18);
    shared.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), shared, Buffer.from(name), data]);
    const more = Buffer.alloc(14);
    more.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from("PK\x01\x02"), Buffer.from([20, 0]), shared, more, Buffer.from(name)]));
    files.push(local);
    offset += local.length;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(files.length, 4);
  end.writeUInt16LE(files.length, 6);
  end.writeUInt32LE(listing.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...files, listing, Buffer.from("PK\x05\x06"), end]);
}
