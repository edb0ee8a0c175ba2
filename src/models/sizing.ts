import sql from "sql-template-tag";
import type { Metric, ModelVersion } from "../schema/layout.js";
import type { OpenStore, ScopedStore } from "../store/open.js";
import { decryptContents } from "../store/content-cipher.js";
import { storedBytes } from "../store/storage.js";
import type { VersionEmbedder } from "../store/versions/version-embedder.js";
import { tenantRows } from "./tenant-scopes.js";

/** What adding a model version takes, estimated from a sample. */
export interface ModelSizing {
  readonly rows: number;
  /** Of all contents; about four characters each. */
  readonly tokens: number;
  /** In the currency of `pricePerMillionTokens`, when that was given. */
  readonly price: number | undefined;
  /** For embedding, from a timed sample and the concurrency; `undefined` where nothing is embedded. */
  readonly seconds: number | undefined;
  /** Of the column and of its index. */
  readonly diskBytes: number;
  readonly indexBytes: number;
  /** That the build of the index needs to stay in memory, and its searches to stay fast. */
  readonly ramBytes: number;
}

const SAMPLE_ROWS = 64;
const CHARACTERS_PER_TOKEN = 4;
/** Per row of an HNSW index with `m` 16, beside the vector. */
const GRAPH_BYTES = 300;
const BUILD_BYTES = 956;

export interface SizingRequest extends Pick<ModelVersion, "dimensions" | "storageType" | "quantization"> {
  readonly metric: Metric;
  readonly embedder: VersionEmbedder | undefined;
  readonly pricePerMillionTokens: number | undefined;
  readonly concurrency: number;
}

/** Counts rows, and embeds a small sample to see how long all would take. */
export async function sizeVersion(
  store: OpenStore,
  scopes: readonly ScopedStore[],
  request: SizingRequest,
): Promise<ModelSizing> {
  const { rows, characters, sample } = await sampleContents(store, scopes);
  const tokens = Math.ceil((rows * characters) / CHARACTERS_PER_TOKEN);
  const bytes = storedBytes(request) + 8;
  const indexed = request.quantization === "binary" ? request.dimensions / 8 : bytes;
  const texts = sample.map((content) => request.embedder?.textOf(content) ?? content);
  const began = performance.now();
  if (request.embedder !== undefined && texts.length > 0) await request.embedder.source.embedDocuments(texts);
  const each = (performance.now() - began) / 1_000 / Math.max(1, texts.length);
  return {
    rows,
    tokens,
    price: request.pricePerMillionTokens === undefined ? undefined : (tokens / 1e6) * request.pricePerMillionTokens,
    seconds: request.embedder === undefined ? undefined : (rows * each) / request.concurrency,
    diskBytes: Math.ceil(rows * bytes * 1.05),
    indexBytes: Math.ceil(rows * (indexed + GRAPH_BYTES)),
    ramBytes: Math.ceil(rows * (indexed + BUILD_BYTES)),
  };
}

async function sampleContents(
  store: OpenStore,
  scopes: readonly ScopedStore[],
): Promise<{ rows: number; characters: number; sample: string[] }> {
  let rows = 0;
  let characters = 0;
  const sample: string[] = [];
  for (const scope of scopes) {
    const { content, id } = store.columns;
    const { rows: found } = await store.database.execute(
      {
        name: "size-model",
        sql: sql`
          select (select count(*) from ${store.table} where ${tenantRows(scope)})::float8 as rows,
            coalesce((select jsonb_agg(jsonb_build_object('id', s.id, 'content', s.content)) from (
              select ${id} as id, ${content} as content from ${store.table} where ${tenantRows(scope)} limit ${SAMPLE_ROWS}::int8
            ) s), '[]') as sample`,
      },
      { settings: scope.settings },
    );
    const { rows: count, sample: some } = found[0] as { rows: number; sample: { id: string; content: string }[] };
    const contents = await decryptContents(store.options.contentCipher, scope.tenant, some);
    const mean = contents.reduce((sum, text) => sum + text.length, 0) / Math.max(1, contents.length);
    characters = (characters * rows + mean * count) / Math.max(1, rows + count);
    rows += count;
    sample.push(...contents.slice(0, Math.max(0, SAMPLE_ROWS - sample.length)));
  }
  return { rows, characters, sample };
}
