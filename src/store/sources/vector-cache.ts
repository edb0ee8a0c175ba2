import sql from "sql-template-tag";
import { BytesArrayParameter } from "../../db/codec.js";
import { qualified } from "../../db/identifiers.js";
import { ConfigurationError } from "../../errors.js";
import { sourceTables } from "../../schema/layout.js";
import type { ScopedStore } from "../open.js";
import { hashContent } from "../rows.js";
import { registerTenant } from "../upsert.js";

/** @throws ConfigurationError when content is encrypted: hashes of texts would let whoever reads the table try guesses. */
export function checkVectorCache(store: ScopedStore): void {
  if (store.options.contentCipher === undefined) return;
  throw new ConfigurationError(
    "The vector cache finds vectors by hashes of the texts, which `contentCipher` is there to hide; use one or the other.",
  );
}

/** The vectors of texts that the active model has embedded before, by their text. */
export async function readVectorCache(
  store: ScopedStore,
  texts: readonly string[],
): Promise<Map<string, Float32Array>> {
  const byHash = new Map(texts.map((text) => [Buffer.from(hashContent(text)).toString("hex"), text]));
  const hashes = new BytesArrayParameter([...byHash.keys()].map((hash) => Buffer.from(hash, "hex")));
  const { rows } = await store.database.execute(
    {
      name: "read-vector-cache",
      sql: sql`
        select encode(text_hash, 'hex') as hash, encode(embedding, 'base64') as vector
        from ${qualified(store.schema, sourceTables(store.options.layout)[1])}
        where tenant_id = ${store.tenant}::text and model_version = ${store.model.version}::int4
          and text_hash = any(${hashes}::bytea[])`,
    },
    { settings: store.settings },
  );
  return new Map(
    (rows as { hash: string; vector: string }[]).map(({ hash, vector }) => [byHash.get(hash)!, decode(vector)]),
  );
}

/** Keeps the vectors of texts under the active model's version. Those that are there stay as they are. */
export async function writeVectorCache(
  store: ScopedStore,
  vectors: ReadonlyMap<string, ArrayLike<number>>,
): Promise<void> {
  if (vectors.size === 0) return;
  const entries = [...vectors]
    .map(([text, vector]) => ({ hash: Buffer.from(hashContent(text)), vector: encode(vector) }))
    .sort((a, b) => a.hash.compare(b.hash));
  await store.database.transaction(store.settings, async (session) => {
    await session.execute({
      name: "write-vector-cache",
      sql: sql`
        ${registerTenant(store)}
        insert into ${qualified(store.schema, sourceTables(store.options.layout)[1])}
          (tenant_id, model_version, text_hash, embedding)
        select ${store.tenant}::text, ${store.model.version}::int4, row.hash, row.vector
        from unnest(
          ${new BytesArrayParameter(entries.map(({ hash }) => hash))}::bytea[],
          ${new BytesArrayParameter(entries.map(({ vector }) => vector))}::bytea[]
        ) as row (hash, vector)
        on conflict (tenant_id, model_version, text_hash) do nothing`,
    });
  });
}

/** Deletes the tenant's cached vectors. @returns how many. */
export async function clearVectorCache(store: ScopedStore): Promise<number> {
  const { rowCount } = await store.database.execute(
    {
      name: "clear-vector-cache",
      sql: sql`
        delete from ${qualified(store.schema, sourceTables(store.options.layout)[1])}
        where tenant_id = ${store.tenant}::text`,
    },
    { settings: store.settings },
  );
  return rowCount ?? 0;
}

/** Float32, little-endian. */
function encode(vector: ArrayLike<number>): Buffer {
  const buffer = Buffer.allocUnsafe(4 * vector.length);
  for (let i = 0; i < vector.length; i += 1) buffer.writeFloatLE(vector[i]!, 4 * i);
  return buffer;
}

function decode(base64: string): Float32Array {
  const buffer = Buffer.from(base64, "base64");
  return Float32Array.from({ length: buffer.length / 4 }, (_, i) => buffer.readFloatLE(4 * i));
}
