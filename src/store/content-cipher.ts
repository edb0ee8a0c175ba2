import { Document } from "@langchain/core/documents";
import { mapBatches } from "../embeddings/batches.js";
import { ConfigurationError, ContentCipherError } from "../errors.js";
import { hashContent, type ChunkRow } from "./rows.js";

/** What a text belongs to. Bind the ciphertext to it, so that it cannot be moved to another row unnoticed. */
export interface CipherContext {
  /** As it is stored; `"default"` while tenancy is off. */
  readonly tenantId: string;
  readonly id: string;
}

/**
 * Encrypts the content of documents before it leaves the process, and decrypts what comes back. Both methods may run
 * up to 16 times at once and more than once for one text; neither is called inside a database transaction.
 *
 * Ids, metadata and vectors stay as they are, since the database has to compare them.
 */
export interface ContentCipher {
  /** A text that Postgres can store: well-formed and without NUL. */
  encrypt(text: string, context: CipherContext): string | Promise<string>;
  /** The text that `encrypt` was given. Throws when the ciphertext is not genuine, or belongs to another context. */
  decrypt(text: string, context: CipherContext): string | Promise<string>;
}

const MAX_CONCURRENT = 16;

/** @throws ConfigurationError when the value is no cipher. */
export function checkCipher(cipher: ContentCipher | undefined): ContentCipher | undefined {
  if (cipher === undefined) return undefined;
  const given = cipher as Partial<ContentCipher> | null;
  if (typeof given?.encrypt === "function" && typeof given.decrypt === "function") return cipher;
  throw new ConfigurationError("`contentCipher` must be an object with the functions encrypt and decrypt.");
}

/**
 * The rows with their content encrypted, in the same order. The hash becomes that of the ciphertext: one of the plain
 * text would let whoever reads the table try guesses.
 *
 * @throws ContentCipherError naming the row.
 */
export async function encryptRows<T extends ChunkRow>(
  cipher: ContentCipher | undefined,
  tenantId: string,
  rows: readonly T[],
): Promise<readonly T[]> {
  if (cipher === undefined) return rows;
  return mapBatches(rows, 1, MAX_CONCURRENT, async ([row]) => {
    const { id } = row!;
    const content: unknown = await attempt("encrypt", id, () => cipher.encrypt(row!.content, { tenantId, id }));
    if (typeof content !== "string" || content.includes("\0") || !content.isWellFormed()) {
      throw new ContentCipherError(
        `contentCipher.encrypt gave ${typeof content === "string" ? "a text with a NUL or half of a surrogate pair" : `a value of type ${typeof content}`} ` +
          `for the id ${JSON.stringify(id)}; nothing was stored. Make it return text, such as base64.`,
        id,
      );
    }
    return [{ ...row!, content, contentHash: hashContent(content) }];
  });
}

/**
 * The plain texts of stored rows, in the same order.
 *
 * @throws ContentCipherError naming the row; never a part of them.
 */
export async function decryptContents(
  cipher: ContentCipher | undefined,
  tenantId: string,
  rows: readonly { readonly id: string; readonly content: string }[],
): Promise<string[]> {
  if (cipher === undefined) return rows.map((row) => row.content);
  return mapBatches(rows, 1, MAX_CONCURRENT, async ([row]) => {
    const { id, content } = row!;
    const text: unknown = await attempt("decrypt", id, () => cipher.decrypt(content, { tenantId, id }));
    if (typeof text === "string") return [text];
    throw new ContentCipherError(
      `contentCipher.decrypt gave a value of type ${typeof text} for the id ${JSON.stringify(id)}; make it return the text.`,
      id,
    );
  });
}

/** Search hits with plain texts, in the same order. @throws ContentCipherError as {@link decryptContents}. */
export async function decryptHits<T extends { readonly document: Document }>(
  cipher: ContentCipher | undefined,
  tenantId: string,
  hits: readonly T[],
): Promise<readonly T[]> {
  if (cipher === undefined) return hits;
  const rows = hits.map(({ document }) => ({ id: document.id!, content: document.pageContent }));
  const contents = await decryptContents(cipher, tenantId, rows);
  return hits.map((hit, index) => {
    const { id, metadata } = hit.document;
    return { ...hit, document: new Document({ id: id!, pageContent: contents[index]!, metadata }) };
  });
}

/** @throws ConfigurationError when content is encrypted, since the database cannot look into it. */
export function refuseContentFilter(cipher: ContentCipher | undefined): void {
  if (cipher === undefined) return;
  throw new ConfigurationError(
    "whereDocument looks into the content, which this store encrypts (`contentCipher`), so the database sees ciphertext. " +
      "Filter by metadata, which is not encrypted, or look into the rows that `get` returns.",
  );
}

const CURES = {
  encrypt: "Nothing was stored. The cipher's own error is the cause.",
  decrypt:
    "It was encrypted with another key or for another row, changed in the database, or stored before `contentCipher` was " +
    "set. Give the cipher the key it was written with, or add the document again. The cipher's own error is the cause.",
} as const;

async function attempt<T>(verb: keyof typeof CURES, id: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new ContentCipherError(
      `contentCipher could not ${verb} the content of the id ${JSON.stringify(id)}. ${CURES[verb]}`,
      id,
      { cause },
    );
  }
}
