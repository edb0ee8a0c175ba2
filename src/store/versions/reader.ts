import sql from "sql-template-tag";
import { orAbort } from "../../db/abort.js";
import { qualified } from "../../db/identifiers.js";
import type { VectorInput } from "../../db/sparse-vector.js";
import { TENANTS_TABLE } from "../../schema/layout.js";
import { readingVersion, type OpenStore, type ScopedStore } from "../open.js";
import { fence } from "./fence.js";
import { foreignVectors, type LiveVersion } from "./store-models.js";

/**
 * The store with the version that a query is to be compared with: for a text the tenant's own where it has one, else the
 * active one; for a vector, which is of the store's own embedder, a version of that.
 *
 * @throws UnknownModelError for a vector when no version of its embedder is read.
 */
export async function readerFor(store: ScopedStore, query?: string | VectorInput): Promise<ScopedStore> {
  return readingFor(store, store.models.overrides ? await overrideOf(store) : undefined, query);
}

/** The same where it is known whether the tenant has a version of its own. */
export function readingFor(
  store: ScopedStore,
  own: LiveVersion | undefined,
  query: string | VectorInput | undefined,
): ScopedStore {
  const { models } = store;
  if (typeof query === "string" || query === undefined) return own === undefined ? store : readingVersion(store, own);
  const version = own?.embedder?.main ? own : models.readingVectors;
  if (version === undefined) throw foreignVectors(models, store.options.layout.table);
  return version.version === store.model.version ? store : readingVersion(store, version);
}

/** The version that the tenant reads instead of the active one, if its embedder is here. */
async function overrideOf(store: ScopedStore): Promise<LiveVersion | undefined> {
  const version = await store.memory.override(store.tenant, store.models.epoch, () => readOverride(store));
  return store.models.live.find(
    (live) => live.version === version && (live.embedder !== undefined || store.embedders.administers),
  );
}

async function readOverride(store: ScopedStore): Promise<number | undefined> {
  const { rows } = await store.database.execute(
    {
      name: "model-override",
      sql: sql`
        select model_version from ${qualified(store.schema, TENANTS_TABLE)}
        where tenant_id = ${store.tenant}::text and store = ${store.options.layout.table}::text and ${fence(store)}`,
    },
    { settings: store.settings },
  );
  return (rows[0]?.["model_version"] as number | null | undefined) ?? undefined;
}

/** The vector of a query for the version that a store reads; a text is embedded once for each version, when it is needed. */
export function embedOnce(
  query: string | VectorInput,
  signal?: AbortSignal,
): (store: OpenStore) => Promise<VectorInput> {
  if (typeof query !== "string") return async (store) => embedderOf(store)?.fit(query) ?? query;
  const vectors = new Map<number, Promise<readonly number[]>>();
  return async (store) => {
    const { version } = store.model;
    const vector = vectors.get(version) ?? orAbort(embedderOf(store)!.embedQuery(query), signal);
    vectors.set(version, vector);
    return vector;
  };
}

function embedderOf({ models, model }: OpenStore): LiveVersion["embedder"] {
  return models.live.find(({ version }) => version === model.version)?.embedder;
}
