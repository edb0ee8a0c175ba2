import sql from "sql-template-tag";
import { qualified } from "../db/identifiers.js";
import type { Metric } from "../schema/layout.js";
import type { OpenStore, ScopedStore } from "./open.js";
import type { CollectionMetric } from "./search-memory.js";

/** How collections say their distance: the key and the values that Chroma uses. */
const SPACE_KEY = "hnsw:space";
const SPACES: Readonly<Record<string, Metric>> = { l2: "euclidean", cosine: "cosine", ip: "innerProduct" };

/** The metric that metadata of a collection asks for. */
export function metricOfCollection(metadata: Record<string, unknown> | null | undefined): Metric | undefined {
  const space = metadata?.[SPACE_KEY];
  return typeof space === "string" && Object.hasOwn(SPACES, space) ? SPACES[space] : undefined;
}

/**
 * A store that compares vectors as its collection says, when the collection says and the options do not. Collections of
 * one table may be compared in different ways; an index serves the one that it was built for.
 */
export async function withCollectionMetric(store: ScopedStore): Promise<ScopedStore> {
  if (!asksCollection(store)) return store;
  const table = store.options.layout.collectionsTable!;
  const metric = (await store.memory.collectionMetric(store.tenant, () => readMetric(store, table)))?.metric;
  return metric === undefined || metric === store.options.metric
    ? store
    : { ...store, options: { ...store.options, metric } };
}

/** Whether the collection may say how vectors are compared. */
export function asksCollection({ options }: OpenStore): boolean {
  return !options.metricGiven && options.layout.collectionsTable !== undefined;
}

/** `undefined` while there is no such collection. */
async function readMetric(store: ScopedStore, table: string): Promise<CollectionMetric | undefined> {
  const { rows } = await store.database.execute(
    {
      name: "collection-metric",
      sql: sql`
        select cmetadata ->> ${SPACE_KEY}::text as space from ${qualified(store.schema, table)}
        where tenant_id = ${store.tenant}::text and name = ${store.options.collection}::text`,
    },
    { settings: store.settings, replica: "any" },
  );
  return rows[0] && { metric: metricOfCollection({ [SPACE_KEY]: rows[0]["space"] }) };
}
