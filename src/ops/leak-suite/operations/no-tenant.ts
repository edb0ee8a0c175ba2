import type { PostgresVectorStore } from "../../../store/postgres-vector-store.js";
import { MAX_TENANT_BYTES } from "../../../store/tenant.js";
import type { LeakOperation } from "../operation.js";
import type { Step } from "../step.js";

/** What is no tenant id; a store must refuse each before it does any I/O. */
const NOT_TENANTS: readonly unknown[] = [
  "",
  undefined,
  null,
  Number.NaN,
  1.5,
  Number.POSITIVE_INFINITY,
  2 ** 60,
  {},
  [],
  ["tenant-30"],
  true,
  { toString: () => "tenant-30" },
  "nul\0byte",
  "\ud800",
  "y".repeat(MAX_TENANT_BYTES + 1),
];

const CALLS: readonly ((store: PostgresVectorStore, step: Step) => Promise<unknown>)[] = [
  (store, step) => store.search(step.bait()),
  (store, step) => store.similaritySearch(step.bait()),
  (store, step) => store.similaritySearchWithScore(step.bait()),
  (store) =>
    store.similaritySearchVectorWithScore(
      Array.from({ length: 16 }, () => 1),
      3,
    ),
  (store, step) => store.maxMarginalRelevanceSearch(step.bait(), { k: 2 }),
  (store, step) => store.asRetriever().invoke(step.bait()),
  (store) => store.get(),
  (store) => store.getByIds(["doc-1"]),
  (store) => store.getOrCreateCollection(),
  (store) => store.delete({ ids: ["doc-1"] }),
  (store, step) => store.delete({ filter: { owner: step.other.id } }),
  (store) => store.addDocuments([{ id: "doc-1", pageContent: "nobody's", metadata: {} }]),
  (store) => (store.pool as unknown as { query(text: string): Promise<unknown> }).query("select 1"),
];

/** Calls that name no tenant, or something that cannot be one, or one that nobody knows. */
export const NO_TENANT_OPERATIONS: readonly LeakOperation[] = [
  {
    name: "no tenant",
    weight: 3,
    run: (step) =>
      step.attempt("refusal", () => step.random.pick(CALLS)(step.world.bases[step.collection], step), undefined),
  },
  {
    name: "a resolver that answers nonsense",
    weight: 3,
    run: (step) => {
      const { request, resolvers } = step.world;
      const call = step.random.pick(CALLS);
      return step.attempt(
        "refusal",
        () => request.run(step.random.pick(NOT_TENANTS), () => call(resolvers[step.collection], step)),
        undefined,
      );
    },
  },
  {
    name: "forTenant with what is no tenant",
    weight: 2,
    run: (step) => {
      const id = step.random.pick(NOT_TENANTS) as string;
      return step.attempt("refusal", () => step.world.bases[step.collection].forTenant(id), undefined);
    },
  },
  {
    name: "a tenant that nobody knows",
    weight: 3,
    run: (step) => {
      const { id } = step.other;
      const names = [
        `${id} `,
        `${id}%`,
        `%${id.slice(1)}`,
        `${id}'--`,
        `"${id}"`,
        `${id}\n`,
        `ghost-${step.random.hex(6)}`,
      ];
      const ghost = step.random
        .pick(names)
        .slice(0, MAX_TENANT_BYTES / 2)
        .toWellFormed();
      if (step.world.tenants.some((tenant) => tenant.id === ghost)) return Promise.resolve();
      const store = step.world.bases[step.collection].forTenant(ghost);
      const read = step.random.pick<() => Promise<unknown>>([
        () => store.search(step.bait(), { k: 20 }),
        () => store.get(),
        () => store.getByIds(["doc-1", "doc-2"]),
        () => store.delete({ ids: ["doc-1"] }),
      ]);
      return step.attempt("result", read, undefined);
    },
  },
];
