import sql from "sql-template-tag";
import type { VectorInput } from "../../db/sparse-vector.js";
import { identifier } from "../../db/identifiers.js";
import { ConfigurationError, UnknownModelError } from "../../errors.js";
import { mean, ndcg, recall } from "../../ops/eval/metrics.js";
import { integer } from "../../store/options.js";
import { readingVersion, type OpenStore, type ScopedStore } from "../../store/open.js";
import { planSearch, DEFAULT_EF_SEARCH } from "../../store/plan-search.js";
import { embeddingAsText, readEmbedding } from "../../store/embedding-column.js";
import { runSearch, type DenseSearch } from "../../store/search.js";
import type { SearchStrategy } from "../../store/search-strategy.js";
import { toTenantId } from "../../store/tenant.js";
import type { LiveVersion } from "../../store/versions/store-models.js";
import { activeVersion, liveVersion } from "../model-registry.js";
import { administratorOf, tenantRows, tenantScopes } from "../tenant-scopes.js";
import { overlapAt, rankBiasedOverlap } from "./measures.js";
import { storeComparison, type ComparisonVerdict } from "./stored-comparison.js";

/** A question, and the grades of the rows that answer it by id, when they are known. */
export interface CompareQuery {
  readonly text: string;
  readonly relevant?: Readonly<Record<string, number>> | undefined;
}

/** Least and greatest figures with which a cut-over is to be allowed. */
export interface CompareThresholds {
  /** Of the mean overlap@k, 0 to 1. */
  readonly minOverlap?: number | undefined;
  /** Of the new version's nDCG minus the old one's; needs labelled queries. */
  readonly minNdcgChange?: number | undefined;
  /** Of the new index against exact search. */
  readonly minRecall?: number | undefined;
  /** Of the new version's 95th percentile of latency over the old one's. */
  readonly maxLatencyRatio?: number | undefined;
}

export interface CompareModelsOptions {
  /** @defaultValue the version that is being added */
  version?: number | undefined;
  /** Compared with it. @defaultValue the active version */
  against?: number | undefined;
  /** @defaultValue rows of the store are asked for their neighbours, which embeds nothing */
  queries?: readonly CompareQuery[] | undefined;
  /** Rows to ask for their neighbours. @defaultValue 200 */
  samples?: number | undefined;
  /** @defaultValue 10 */
  k?: number | undefined;
  /** Whose rows. @defaultValue those of up to three tenants with the most rows */
  tenantId?: string | number | undefined;
  thresholds?: CompareThresholds | undefined;
  signal?: AbortSignal | undefined;
}

/** What searches of one version gave. */
export interface VersionFigures {
  readonly version: number;
  readonly fingerprint: string;
  readonly ndcg: number | undefined;
  readonly recall: number | undefined;
  /** Of searches as they are done against exact ones, 0 to 1. */
  readonly indexRecall: number;
  /** Whether an index served the searches; otherwise they were exact. */
  readonly indexed: boolean;
  readonly p50Ms: number;
  readonly p95Ms: number;
}

export interface Comparison extends ComparisonVerdict {
  readonly k: number;
  readonly queries: number;
  readonly labelled: number;
  /** Means over the queries, of exact rankings. */
  readonly overlap: number;
  readonly rankBiasedOverlap: number;
  readonly before: VersionFigures;
  readonly after: VersionFigures;
  /** The queries whose results differ most. */
  readonly worst: readonly { readonly query: string; readonly overlap: number }[];
}

/** A query as both versions are asked it. */
interface Asked {
  readonly label: string;
  readonly store: ScopedStore;
  readonly vectors: readonly [before: VectorInput, after: VectorInput];
  /** The row that is asked for its neighbours, and is none itself. */
  readonly self: string | undefined;
  readonly relevant: ReadonlyMap<string, number> | undefined;
}

/** Asks two versions the same, and remembers for the cut-over whether the thresholds are met; see `ModelAdmin.compare`. */
export async function compareVersions(store: OpenStore, options: CompareModelsOptions): Promise<Comparison> {
  const k = integer("k", options.k, 1, 1_000) ?? 10;
  const after = liveVersion(store, options.version);
  const before = options.against === undefined ? activeVersion(store) : liveVersion(store, options.against);
  if (before.version === after.version) throw new ConfigurationError("compare needs two different versions.");
  const versions = [before, after] as const;
  const scopes = await scopesToAsk(store, options.tenantId);
  const asked =
    options.queries === undefined
      ? await sampleRows(scopes, versions, integer("samples", options.samples, 1, 100_000) ?? 200)
      : await embedQueries(scopes, versions, options.queries);
  if (asked.length === 0)
    throw new ConfigurationError("There is nothing to compare: no row has vectors of both versions.");
  const figures = [
    await askAll(asked, before, 0, k, options.signal),
    await askAll(asked, after, 1, k, options.signal),
  ] as const;
  const overlaps = asked.map((_, index) => overlapAt(figures[0].exact[index]!, figures[1].exact[index]!, k));
  const rbo = asked.map((_, index) => rankBiasedOverlap(figures[0].exact[index]!, figures[1].exact[index]!));
  const comparison = {
    k,
    queries: asked.length,
    labelled: asked.filter(({ relevant }) => relevant !== undefined).length,
    overlap: mean(overlaps),
    rankBiasedOverlap: mean(rbo),
    before: figures[0].figures,
    after: figures[1].figures,
    worst: asked
      .map(({ label }, index) => ({ query: label, overlap: overlaps[index]! }))
      .sort((a, b) => a.overlap - b.overlap)
      .slice(0, 10),
  };
  const failures = failuresOf(comparison, options.thresholds ?? {});
  const verdict = { passed: failures.length === 0, failures };
  await storeComparison(store, after.version, verdict);
  return { ...comparison, ...verdict };
}

async function scopesToAsk(store: OpenStore, tenantId: string | number | undefined): Promise<ScopedStore[]> {
  if (tenantId !== undefined) return [administratorOf(store, toTenantId(tenantId))];
  const scopes = await tenantScopes(store);
  if (scopes.length <= 3) return scopes;
  const counted: { scope: ScopedStore; rows: number }[] = [];
  for (const scope of scopes.slice(0, 50)) {
    const { rows } = await store.database.execute(
      {
        name: "compare-tenants",
        sql: sql`select count(*)::float8 as rows from ${store.table} where ${tenantRows(scope)}`,
      },
      { settings: scope.settings },
    );
    counted.push({ scope, rows: rows[0]!["rows"] as number });
  }
  return counted
    .toSorted((a, b) => b.rows - a.rows)
    .slice(0, 3)
    .map(({ scope }) => scope);
}

/** Rows of the store's collection with their vectors of both versions. */
async function sampleRows(
  scopes: readonly ScopedStore[],
  [before, after]: readonly [LiveVersion, LiveVersion],
  samples: number,
): Promise<Asked[]> {
  const asked: Asked[] = [];
  for (const store of scopes) {
    const { id } = store.columns;
    const { rows } = await store.database.execute(
      {
        name: "compare-sample",
        sql: sql`
          select ${id} as id, ${embeddingAsText(readingVersion(store, before))} as before, ${embeddingAsText(readingVersion(store, after))} as after
          from ${store.table}
          where ${tenantRows(store)} and collection = ${store.options.collection}::text
            and ${identifier(before.column)} is not null and ${identifier(after.column)} is not null
          order by hashtextextended(${id}, 6) limit ${Math.ceil(samples / scopes.length)}::int8`,
      },
      { settings: store.settings },
    );
    for (const row of rows as { id: string; before: string; after: string }[]) {
      const vectors = [readEmbedding(row.before, before), readEmbedding(row.after, after)] as const;
      asked.push({ label: row.id, store, vectors, self: row.id, relevant: undefined });
    }
  }
  return asked;
}

async function embedQueries(
  scopes: readonly ScopedStore[],
  versions: readonly [LiveVersion, LiveVersion],
  queries: readonly CompareQuery[],
): Promise<Asked[]> {
  const lacking = versions.find(({ embedder }) => embedder === undefined);
  if (lacking !== undefined) {
    throw new UnknownModelError(
      `To ask texts, the embedder of version ${lacking.version} (${lacking.fingerprint}) is needed too; give it in \`embedders\`.`,
    );
  }
  const asked: Asked[] = [];
  for (const { text, relevant } of queries) {
    const vectors = await Promise.all(versions.map(({ embedder }) => embedder!.embedQuery(text)));
    for (const store of scopes) {
      asked.push({
        label: text,
        store,
        vectors: [vectors[0]!, vectors[1]!],
        self: undefined,
        relevant: relevant && new Map(Object.entries(relevant)),
      });
    }
  }
  return asked;
}

async function askAll(
  asked: readonly Asked[],
  version: LiveVersion,
  place: 0 | 1,
  k: number,
  signal: AbortSignal | undefined,
): Promise<{ exact: string[][]; figures: VersionFigures }> {
  const exact: string[][] = [];
  const recalls: number[] = [];
  const times: number[] = [];
  const labelled: { ndcg: number; recall: number }[] = [];
  let indexed = false;
  for (const question of asked) {
    signal?.throwIfAborted();
    const store = readingVersion(question.store, version);
    const vector = question.vectors[place];
    const ask = async (strategy: SearchStrategy): Promise<string[]> => {
      const { hits } = await runSearch(store, searchFor(vector, k + 1), strategy);
      return hits
        .map(({ document }) => document.id!)
        .filter((id) => id !== question.self)
        .slice(0, k);
    };
    const strategy = await planSearch(store, { k: k + 1, filter: undefined, efSearch: undefined, probes: undefined });
    const began = performance.now();
    const found = await ask(strategy);
    times.push(performance.now() - began);
    indexed ||= strategy.kind === "index";
    const truth = strategy.kind === "exact" ? found : await ask({ kind: "exact" });
    exact.push(truth);
    recalls.push(overlapAt(truth, found, k));
    if (question.relevant === undefined) continue;
    labelled.push({ ndcg: ndcg(found, question.relevant, k), recall: recall(found, question.relevant, k) });
  }
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  return {
    exact,
    figures: {
      version: version.version,
      fingerprint: version.fingerprint,
      ndcg: labelled.length === 0 ? undefined : mean(labelled.map((one) => one.ndcg)),
      recall: labelled.length === 0 ? undefined : mean(labelled.map((one) => one.recall)),
      indexRecall: mean(recalls),
      indexed,
      p50Ms: at(0.5),
      p95Ms: at(0.95),
    },
  };
}

function searchFor(vector: VectorInput, k: number): DenseSearch {
  return {
    vector,
    k,
    filter: undefined,
    includeEmbeddings: false,
    efSearch: DEFAULT_EF_SEARCH,
    probes: undefined,
    timeoutMs: undefined,
    signal: undefined,
  };
}

function failuresOf(
  { overlap, before, after }: Pick<Comparison, "overlap" | "before" | "after">,
  thresholds: CompareThresholds,
): string[] {
  const failures: string[] = [];
  const least = (name: string, got: number | undefined, want: number | undefined): void => {
    if (want === undefined) return;
    if (got === undefined) failures.push(`${name} cannot be told without labelled queries`);
    else if (got < want) failures.push(`${name} is ${got.toFixed(3)}, at least ${want} was wanted`);
  };
  least("the overlap", overlap, thresholds.minOverlap);
  const change = after.ndcg === undefined || before.ndcg === undefined ? undefined : after.ndcg - before.ndcg;
  least("the change of nDCG", change, thresholds.minNdcgChange);
  least("the recall of the new index", after.indexRecall, thresholds.minRecall);
  const ratio = after.p95Ms / before.p95Ms;
  if (thresholds.maxLatencyRatio !== undefined && ratio > thresholds.maxLatencyRatio) {
    failures.push(
      `the 95th percentile of latency is ${ratio.toFixed(2)} times that of before, at most ${thresholds.maxLatencyRatio} was wanted`,
    );
  }
  return failures;
}
