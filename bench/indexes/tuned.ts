import { PostgresVectorStore } from "../../src/index.js";
import { formatSetting } from "../../src/store/index-note.js";
import { qualifies } from "../../src/ops/tune/recommend.js";
import type { ServerTestDatabase } from "../../test/helpers/open-database.js";
import { readPooledTruth, readPooledVectors } from "../../test/helpers/pooled-vectors.js";
import { sharedData } from "../../test/helpers/shared-data.js";
import { seededRandom } from "../../test/helpers/vectors.js";
import { progress } from "../harness.js";
import { NoEmbeddings } from "../tenancy/data.js";

const K = 10;
const QUERIES = 3_000;
const HELD_BACK = 2_000;

/** Tunes with some of the real queries and searches with others; `undefined` without the data. */
export async function tuneRealVectors(database: ServerTestDatabase, target = 0.98) {
  const folder = sharedData("pooled-lsa192");
  if (folder === undefined) return undefined;
  const set = readPooledVectors(folder);
  const pool = database.newPool({ max: 4 });
  const config = { pool, tableName: "pooled", dimensions: set.dimensions };
  const store = await PostgresVectorStore.initialize(new NoEmbeddings(), config);
  await store.bulkLoad(
    set.documents.map(({ id, label, vector }) => ({
      document: { id, pageContent: id, metadata: { label } },
      embedding: vector,
    })),
  );
  await store.indexes.create({ targetRecall: false });
  progress("built the index of the real vectors");
  const random = seededRandom(11);
  const truth = readPooledTruth(folder, K)
    .map((question) => ({ question, place: random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ question }) => question);
  const queries = truth.slice(0, QUERIES).map(({ vector }) => Array.from(vector));
  const report = await store.indexes.tune({ queries, maxQueries: QUERIES, targetRecall: target, onProgress: progress });
  const other = await PostgresVectorStore.fromExistingIndex(new NoEmbeddings(), config);
  const heldBack = truth.slice(QUERIES, QUERIES + HELD_BACK);
  let found = 0;
  for (const { vector, limit } of heldBack) {
    const hits = await other.search(Array.from(vector), { k: K });
    found += hits.filter(({ distance }) => 1 - distance! >= limit - 1e-6).length;
  }
  progress("comparing indexes on a sample");
  const compared = await store.indexes.compare({ rows: 10_000, targetRecall: target });
  const { points, recommended } = report;
  return {
    compared: compared.map(({ storage, m, efConstruction, buildSeconds, bytes, efSearch, recall, p50Ms }) => ({
      storage,
      m,
      ef_construction: efConstruction,
      "build s": buildSeconds,
      MiB: bytes / 2 ** 20,
      "efSearch for the target": efSearch,
      recall: recall.toFixed(4),
      "p50 ms": p50Ms,
    })),
    target,
    heldBack: heldBack.length,
    recall: found / (K * heldBack.length),
    recommended: formatSetting(recommended.setting),
    faster: points.filter((point) => point.p50Ms < recommended.p50Ms && qualifies(point, target)).length,
    rows: points.map(({ setting, recall, p50Ms, p95Ms }) => ({
      setting: formatSetting(setting),
      recall: recall.toFixed(4),
      "p50 ms": p50Ms,
      "p95 ms": p95Ms,
      recommended: formatSetting(setting) === formatSetting(recommended.setting) ? "yes" : "",
    })),
  };
}
