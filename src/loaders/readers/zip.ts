import { fromBufferPromise, type Entry, type ZipFile } from "yauzl";
import { LoadError } from "../../errors.js";
import type { RawSource, ReadOptions } from "./reading.js";

const MAX_ENTRIES = 20_000;

/** The entries of a ZIP file in memory, none of which can unpack to more than it declares. */
export class Zip {
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #file: ZipFile;

  private constructor(file: ZipFile, entries: ReadonlyMap<string, Entry>) {
    this.#file = file;
    this.#entries = entries;
  }

  /**
   * Reads the directory of a ZIP file; unpacks nothing.
   *
   * @throws LoadError when its entries declare more than `maxUnpackedBytes` together, or are more than 20,000.
   */
  static async open({ bytes, source }: RawSource, { maxUnpackedBytes }: ReadOptions): Promise<Zip> {
    // Every entry that unpacks to another size than it declares is then an error.
    const file = await fromBufferPromise(bytes, { lazyEntries: true, autoClose: false, validateEntrySizes: true });
    const entries = new Map<string, Entry>();
    let total = 0;
    for await (const entry of file.eachEntry()) {
      total += entry.uncompressedSize;
      if (total > maxUnpackedBytes || entries.size >= MAX_ENTRIES) {
        throw new LoadError(
          `"${source}" would unpack to more than maxUnpackedBytes (${maxUnpackedBytes}) or ${MAX_ENTRIES} entries; ` +
            "raise the limit if you trust the file.",
          source,
        );
      }
      entries.set(entry.fileName, entry);
    }
    return new Zip(file, entries);
  }

  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /** The text of an entry; `undefined` when there is none of that name. */
  async text(name: string): Promise<string | undefined> {
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    const pieces: Buffer[] = [];
    for await (const piece of await this.#file.openReadStreamPromise(entry)) pieces.push(piece as Buffer);
    return Buffer.concat(pieces).toString("utf8");
  }

  /**
   * Unpacks everything into nothing, for files that another library unpacks without looking at sizes.
   *
   * @throws the library's error at the first entry that is larger than it declares, damaged or encrypted.
   */
  async verify(): Promise<void> {
    for (const entry of this.#entries.values()) {
      const stream = await this.#file.openReadStreamPromise(entry);
      for await (const _ of stream);
    }
  }
}
