import sql, { raw, type Sql } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { quoteIdentifier, quoteQualified } from "../../db/identifiers.js";
import { mix, type VectorInput } from "../../db/sparse-vector.js";
import { ConfigurationError } from "../../errors.js";
import { sentType, vectorParameter, vectorsParameter } from "../../store/embedding-column.js";
import { operatorClass, operatorText } from "../../store/metric.js";
import type { OpenStore } from "../../store/open.js";
import { integer } from "../../store/options.js";
import { setLocal, transact } from "../../store/partitions/locks.js";
import { sampleVectors } from "../../store/recall-questions.js";
import { storedBytes } from "../../store/storage.js";
import { toTenantId } from "../../store/tenant.js";
import { MAX_DIMENSIONS } from "../../store/vector-index.js";
import { quantile } from "./measure.js";
import { findPlaces } from "./places.js";

/** An index that one could build. */
export interface IndexVariant {
  /**
   * What of the vectors is indexed: as they are, as float16, or one bit of each dimension, ranked again exactly. Sparse
   * vectors are indexed as they are.
   */
  readonly storage: "vector" | "halfvec" | "binary" | "sparsevec";
  readonly m: number;
  readonly efConstruction: number;
}

export interface CompareOptions {
  /** Rows of the sample. @defaultValue 10,000 */
  readonly rows?: number | undefined;
  /** @defaultValue m 8 to 24 and efConstruction 64 to 200 on the vectors, and halfvec and binary */
  readonly variants?: readonly IndexVariant[] | undefined;
  readonly k?: number | undefined;
  readonly targetRecall?: number | undefined;
  readonly tenantId?: string | number | undefined;
  readonly onProgress?: ((message: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What an index on the sample came to. */
export interface VariantReport extends IndexVariant {
  readonly buildSeconds: number;
  readonly bytes: number;
  /** The fewest candidates that reach the target recall, or the most that were tried. */
  readonly efSearch: number;
  readonly recall: number;
  readonly p50Ms: number;
  readonly reached: boolean;
}

const DEFAULT_VARIANTS: readonly IndexVariant[] = [
  { storage: "vector", m: 8, efConstruction: 64 },
  { storage: "vector", m: 16, efConstruction: 64 },
  { storage: "vector", m: 16, efConstruction: 128 },
  { storage: "vector", m: 24, efConstruction: 200 },
  { storage: "halfvec", m: 16, efConstruction: 128 },
  { storage: "binary", m: 16, efConstruction: 128 },
];
const SPARSE_VARIANTS: readonly IndexVariant[] = DEFAULT_VARIANTS.filter(({ storage }) => storage === "vector").map(
  (variant) => ({ ...variant, storage: "sparsevec" }),
);
const EF_SEARCH = [40, 100, 200, 400, 800] as const;
const QUESTIONS = 60;
const ADDED = 0.55;
const TIE = 1e-6;
const SAMPLE = "langchain_pgvector_sample";
const BATCH_BYTES = 8_000_000;

/** Builds small indexes on a sample, in a temporary table; see `StoreIndexes.compare`. */
export async function compareIndexes(open: OpenStore, options: CompareOptions): Promise<VariantReport[]> {
  const rows = integer("rows", options.rows, 1_000, 1_000_000) ?? 10_000;
  const k = integer("k", options.k, 1, 100) ?? 10;
  const target = options.targetRecall ?? 0.99;
  if (!(target > 0 && target <= 1))
    throw new ConfigurationError(`targetRecall must be above 0 and at most 1, got ${target}.`);
  const variants = (options.variants ?? defaultVariants(open)).filter((variant) => isPossible(open, variant));
  const places = await findPlaces(open, options.tenantId === undefined ? undefined : toTenantId(options.tenantId));
  if (places[0] === undefined) throw new ConfigurationError("The table has no rows to take a sample of.");
  const say = options.onProgress ?? (() => undefined);
  say("taking a sample");
  const vectors = await sampleVectors(places[0].store, rows);
  const questions = Array.from({ length: QUESTIONS }, () => mixture(vectors));
  return open.database.connection(async (session) => {
    await fill(session, open, vectors);
    try {
      const asked: Asked[] = [];
      for (const vector of questions) asked.push(await askSample(session, open, vector, k));
      const reports: VariantReport[] = [];
      for (const variant of variants) {
        options.signal?.throwIfAborted();
        say(`building ${variant.storage}, m ${variant.m}, efConstruction ${variant.efConstruction}`);
        reports.push(await measureVariant(session, open, variant, asked, { k, target }));
      }
      return reports;
    } finally {
      await session.execute({ name: "drop-sample", sql: raw(`drop table if exists pg_temp.${SAMPLE}`) });
    }
  }, options.signal);
}

function defaultVariants({ model }: OpenStore): readonly IndexVariant[] {
  return model.storageType === "sparsevec" ? SPARSE_VARIANTS : DEFAULT_VARIANTS;
}

function isPossible({ model }: OpenStore, { storage }: IndexVariant): boolean {
  if ((storage === "sparsevec") !== (model.storageType === "sparsevec")) return false;
  if (storage === "binary") return true;
  // A float16 column has no more to give than it holds.
  if (storage === "vector" && model.storageType !== "vector") return false;
  return model.dimensions <= MAX_DIMENSIONS[storage];
}

/** See `sampleQuestions` for why not the rows themselves. */
function mixture(vectors: readonly VectorInput[]): VectorInput {
  const pick = (): VectorInput => vectors[Math.floor(Math.random() * vectors.length)]!;
  return mix(pick(), pick(), ADDED);
}

async function fill(session: Session, open: OpenStore, vectors: readonly VectorInput[]): Promise<void> {
  const { model, server } = open;
  const type = quoteQualified(server.vector.schema, sentType(model));
  await session.execute({
    name: "create-sample",
    sql: raw(`create temporary table ${SAMPLE} (embedding ${type}(${model.dimensions}) not null)`),
  });
  const batch = Math.max(1, Math.floor(BATCH_BYTES / storedBytes(model)));
  for (let start = 0; start < vectors.length; start += batch) {
    const part = vectorsParameter(open, vectors.slice(start, start + batch), model);
    await session.execute({
      name: "fill-sample",
      sql: sql`insert into pg_temp.${raw(SAMPLE)} select unnest(${part})`,
    });
  }
  await session.execute({ name: "analyze-sample", sql: raw(`analyze pg_temp.${SAMPLE}`) });
}

interface Asked {
  readonly vector: VectorInput;
  /** Distance of the last of the true nearest. */
  readonly limit: number;
}

async function askSample(session: Session, open: OpenStore, vector: VectorInput, k: number): Promise<Asked> {
  const found = await transact(session, { enable_indexscan: "off" }, () =>
    session.execute({ name: "sample-exact", sql: exactly(open, vector, k) }),
  );
  return { vector, limit: found.rows.at(-1)!["distance"] as number };
}

function exactly(open: OpenStore, vector: VectorInput, k: number): Sql {
  const distance = sql`embedding ${operator(open)} ${asVector(open, vector)}`;
  return sql`select ${distance} as distance from pg_temp.${raw(SAMPLE)} order by ${distance} limit ${k}::int8`;
}

const operator = ({ options, server }: OpenStore): Sql => raw(operatorText(options.metric, server.vector.schema));

function asVector(open: OpenStore, vector: VectorInput): Sql {
  return vectorParameter(open, vector, { storageType: sentType(open.model) });
}

/** The expression of a variant that is indexed, and that searches are ordered by. */
function indexed(
  open: OpenStore,
  { storage }: IndexVariant,
  value: Sql,
): { expression: Sql; opclass: string; operator: Sql } {
  const { model, options, server } = open;
  const { schema } = server.vector;
  const qualified = (name: string): string => quoteQualified(schema, name);
  switch (storage) {
    case "vector":
    case "sparsevec":
      return {
        expression: value,
        opclass: operatorClass(options.metric, { storageType: storage, quantization: "none" }, schema),
        operator: operator(open),
      };
    case "halfvec":
      return {
        expression: sql`(${value}::${raw(qualified("halfvec"))}(${raw(String(model.dimensions))}))`,
        opclass: operatorClass(options.metric, { storageType: "halfvec", quantization: "none" }, schema),
        operator: operator(open),
      };
    case "binary":
      return {
        expression: sql`(${raw(qualified("binary_quantize"))}(${value})::bit(${raw(String(model.dimensions))}))`,
        opclass: qualified("bit_hamming_ops"),
        operator: raw(`operator(${quoteIdentifier(schema)}.<~>)`),
      };
  }
}

async function measureVariant(
  session: Session,
  open: OpenStore,
  variant: IndexVariant,
  asked: readonly Asked[],
  { k, target }: { readonly k: number; readonly target: number },
): Promise<VariantReport> {
  const { expression, opclass } = indexed(open, variant, sql`embedding`);
  const started = performance.now();
  await session.execute({
    name: "index-sample",
    sql: sql`
      create index ${raw(SAMPLE)}_idx on pg_temp.${raw(SAMPLE)} using hnsw (${expression} ${raw(opclass)})
      with (m = ${raw(String(variant.m))}, ef_construction = ${raw(String(variant.efConstruction))})`,
  });
  const buildSeconds = (performance.now() - started) / 1_000;
  const size = await session.execute({
    name: "sample-size",
    sql: sql`select pg_relation_size(to_regclass(${`pg_temp.${SAMPLE}_idx`}::text))::float8 as bytes`,
  });
  let measured = { efSearch: 0, recall: 0, p50Ms: Number.NaN };
  for (const efSearch of EF_SEARCH) {
    measured = { efSearch, ...(await searchSample(session, open, variant, asked, efSearch, k)) };
    if (measured.recall >= target) break;
  }
  await session.execute({ name: "drop-sample-index", sql: raw(`drop index pg_temp.${SAMPLE}_idx`) });
  return {
    ...variant,
    buildSeconds,
    bytes: size.rows[0]!["bytes"] as number,
    ...measured,
    reached: measured.recall >= target,
  };
}

async function searchSample(
  session: Session,
  open: OpenStore,
  variant: IndexVariant,
  asked: readonly Asked[],
  efSearch: number,
  k: number,
): Promise<{ recall: number; p50Ms: number }> {
  let found = 0;
  const times: number[] = [];
  await transact(session, {}, async () => {
    await setLocal(session, { enable_sort: "off", jit: "off", "hnsw.ef_search": String(efSearch) });
    for (const { vector, limit } of asked) {
      const started = performance.now();
      const { rows } = await session.execute({
        name: "sample-search",
        sql: searchSql(open, variant, vector, efSearch, k),
      });
      times.push(performance.now() - started);
      const near = rows.filter((row) => (row["distance"] as number) <= limit + TIE * Math.max(1, Math.abs(limit)));
      found += Math.min(k, near.length);
    }
  });
  return { recall: found / (k * asked.length), p50Ms: quantile(times, 0.5) };
}

/** Float16 and bits only find candidates; the vectors themselves rank them, as a store would. */
function searchSql(open: OpenStore, variant: IndexVariant, vector: VectorInput, efSearch: number, k: number): Sql {
  const place = indexed(open, variant, sql`embedding`);
  const query = indexed(open, variant, asVector(open, vector));
  const candidates = variant.storage === "halfvec" || variant.storage === "binary" ? efSearch : k;
  return sql`
    with nearest as materialized (
      select embedding from pg_temp.${raw(SAMPLE)}
      order by ${place.expression} ${place.operator} ${query.expression} limit ${candidates}::int8
    )
    select embedding ${operator(open)} ${asVector(open, vector)} as distance from nearest order by 1 limit ${k}::int8`;
}
