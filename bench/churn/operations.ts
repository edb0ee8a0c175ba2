import {
  ConfigurationError,
  DimensionMismatchError,
  FilterError,
  type Filter,
  IngestError,
  MissingTenantError,
  type PostgresVectorStore,
} from "../../src/index.js";
import { documentOf, question, wordOf } from "./documents.js";
import type { Population } from "./population.js";

export interface World {
  readonly random: () => number;
  readonly population: Population;
  /** As the role that owns the tables; for the life cycle of tenants. */
  readonly owner: PostgresVectorStore;
  /** What went wrong that should not have. */
  readonly failures: string[];
}

type Operation = (store: PostgresVectorStore, world: World, tenant: string) => Promise<unknown>;

/** What a client does, by how often in a thousand. `store` is bound to no tenant. */
const OPERATIONS: Readonly<Record<string, readonly [number, Operation]>> = {
  similarity: [170, search("similarity")],
  lexical: [90, search("lexical")],
  hybrid: [100, search("hybrid")],
  filter: [80, filteredSearch],
  retriever: [20, retrieve],
  get: [60, get],
  "add or delete": [250, addOrDelete],
  upsert: [130, upsert],
  "delete by filter": [15, deleteByFilter],
  "bulk load": [3, bulkLoad],
  "tenant comes and goes": [1, tenantComesAndGoes],
  "refused call": [30, refused],
  "aborted search": [30, abortedSearch],
  "search out of time": [15, searchOutOfTime],
  "many at once": [6, manyAtOnce],
};
const SUM = Object.values(OPERATIONS).reduce((sum, [share]) => sum + share, 0);

/** Does one thing, drawn at random. @returns its name. */
export async function operate(store: PostgresVectorStore, world: World): Promise<string> {
  let place = world.random() * SUM;
  const [name, [, run]] = Object.entries(OPERATIONS).find(([, [share]]) => (place -= share) < 0)!;
  try {
    await run(store, world, world.population.anyTenant(world.random));
  } catch (error) {
    world.failures.push(`${name}: ${String(error)}`);
  }
  return name;
}

function search(searchType: "similarity" | "lexical" | "hybrid"): Operation {
  return (store, { random }, tenant) =>
    store.forTenant(tenant).search(question(random), { k: 1 + Math.floor(random() * 20), searchType });
}

function filteredSearch(store: PostgresVectorStore, { random }: World, tenant: string): Promise<unknown> {
  const year = 2000 + Math.floor(random() * 25);
  const filters: Filter[] = [
    { year },
    { year: { $gte: year }, kind: { $ne: wordOf(0) } },
    { $or: [{ kind: wordOf(Math.floor(random() * 50)) }, { year: { in: [year, year + 1] } }] },
  ];
  const filter = filters[Math.floor(random() * filters.length)]!;
  return store.forTenant(tenant).search(question(random), { k: 10, filter });
}

function retrieve(store: PostgresVectorStore, { random }: World, tenant: string): Promise<unknown> {
  const retriever = store.forTenant(tenant).asRetriever({ k: 5, searchType: "mmr", searchKwargs: { fetchK: 20 } });
  return retriever.invoke(question(random));
}

async function get(store: PostgresVectorStore, { random, population }: World, tenant: string): Promise<void> {
  const ids = population.take(tenant, random, 5);
  const found = await store.forTenant(tenant).get({ ids });
  population.giveBack(tenant, ids);
  if (found.length !== ids.length)
    throw new Error(`${found.length} of ${ids.length} documents of ${tenant} were there.`);
}

/** Whichever brings the tenant nearer to its size. */
async function addOrDelete(store: PostgresVectorStore, { random, population }: World, tenant: string): Promise<void> {
  const count = 1 + Math.floor(random() * 4);
  if (population.rows(tenant) < population.wanted(tenant)) {
    const ids = population.newIds(count);
    await store.forTenant(tenant).addDocuments(ids.map((id) => documentOf(id, random)));
    population.added(tenant, ids);
  } else {
    const ids = population.take(tenant, random, count);
    population.deleted(tenant, ids);
    await store.forTenant(tenant).delete({ ids });
  }
}

async function upsert(store: PostgresVectorStore, { random, population }: World, tenant: string): Promise<void> {
  const ids = population.take(tenant, random, 1 + Math.floor(random() * 3));
  if (ids.length === 0) return;
  await store.forTenant(tenant).addDocuments(ids.map((id) => documentOf(id, random)));
  population.giveBack(tenant, ids);
}

async function deleteByFilter(store: PostgresVectorStore, { random, population }: World, tenant: string) {
  const [run, ...ids] = population.newIds(4) as [string, ...string[]];
  const view = store.forTenant(tenant);
  await view.addDocuments(ids.map((id) => documentOf(id, random, { run })));
  await view.delete({ filter: { run } });
}

async function bulkLoad(store: PostgresVectorStore, { random, population }: World, tenant: string): Promise<void> {
  const ids = population.newIds(30);
  const documents = ids.map((id) => documentOf(id, random));
  await store.forTenant(tenant).bulkLoad(documents, { indexes: "keep", vacuum: false });
  population.added(tenant, ids);
}

async function tenantComesAndGoes(store: PostgresVectorStore, { random, population, owner }: World): Promise<void> {
  const [tenant, ...ids] = population.newIds(21) as [string, ...string[]];
  const view = store.forTenant(tenant);
  await view.addDocuments(ids.map((id) => documentOf(id, random)));
  await view.search(question(random), { searchType: "hybrid" });
  const { deleted } = await owner.tenants.delete(tenant, { vacuum: false });
  if (deleted < ids.length) throw new Error(`${deleted} rows of ${ids.length} chunks went with their tenant.`);
}

/** Calls that have to be refused, each with its class of error. */
async function refused(store: PostgresVectorStore, { random }: World, tenant: string): Promise<void> {
  const view = store.forTenant(tenant);
  const document = documentOf("refused", random);
  const calls = [
    [MissingTenantError, () => store.search("index")],
    [ConfigurationError, () => view.search("index", { k: -1 })],
    [FilterError, () => view.search("index", { filter: JSON.parse('{ "year": { "$near": 2000 } }') as Filter })],
    [FilterError, () => view.delete({ filter: {} })],
    [IngestError, () => view.addDocuments([document, document])],
    [DimensionMismatchError, () => view.addVectors([[1, 2, 3]], [document])],
  ] as const;
  const [kind, call] = calls[Math.floor(random() * calls.length)]!;
  const error = await call().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof kind)) throw new Error(`expected a ${kind.name}, got ${String(error)}`);
}

async function abortedSearch(store: PostgresVectorStore, { random }: World, tenant: string): Promise<void> {
  const gone = new AbortController();
  setTimeout(() => gone.abort(), random() * 4);
  const options = { k: 20, searchType: "hybrid", signal: gone.signal } as const;
  await store
    .forTenant(tenant)
    .search(question(random), options)
    .catch((error: unknown) => {
      if (!gone.signal.aborted) throw error;
    });
}

async function searchOutOfTime(store: PostgresVectorStore, { random }: World, tenant: string): Promise<void> {
  const options = { k: 20, searchType: "hybrid", timeoutMs: 1 } as const;
  await store
    .forTenant(tenant)
    .search(question(random), options)
    .catch((error: { sqlstate?: string }) => {
      if (error.sqlstate !== "57014") throw error;
    });
}

/** More than the pool has connections. */
async function manyAtOnce(store: PostgresVectorStore, { random, population }: World): Promise<void> {
  await Promise.all(
    Array.from({ length: 8 }, () =>
      store.forTenant(population.anyTenant(random)).search(question(random), { k: 5, searchType: "hybrid" }),
    ),
  );
}
