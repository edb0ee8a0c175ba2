import type { Filter } from "../../../store/filter/index.js";
import type { LeakOperation } from "../operation.js";

/** Keys and values that would become SQL if anything were put into the text of a statement. */
const HOSTILE_FILTERS: readonly Filter[] = [
  { "owner' or '1'='1": "x" },
  { "x') or true --": "x" },
  { "x' = 'x' or tenant_id <> '": { $ne: "y" } },
  { owner: "' or tenant_id is not null --" },
  { owner: { $in: ["') or (true", "$1"] } },
  { "a\\'": "b" },
  { "nested.text' or true or '": "x" },
  { owner: { $like: "%' or true --" } },
  { marker: { $like: "LEAKMARK\\" } },
];

/** Filters on promoted keys that rows of all tenants match, by values of the column's type and of others. */
const SHARED_FILTERS: readonly Filter[] = [
  { n: { $in: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] } },
  { n: { $gte: 5, $lt: 1e300 } },
  { n: { $ne: "5" } },
  { n: { $nin: [3, null, "x", true] } },
  { owner: { $gte: "" } },
  { owner: { $like: "tenant-%" } },
  { owner: { $ne: "x".repeat(100_000) } },
  { $or: [{ owner: { $exists: true } }, { n: null }] },
  { $and: [{ owner: { $lt: "~" } }, { n: { $between: [0, 9] } }] },
];

const BAD_FILTERS = [
  { $bogus: 1 },
  { owner: { bogus: 1 } },
  { owner: { $in: [] } },
  { $or: [] },
  { owner: { $like: 5 } },
  "owner = owner",
  [],
] as const;

/** Filters as an attacker writes them. */
export const FILTER_OPERATIONS: readonly LeakOperation[] = [
  {
    name: "search with a filter for another tenant",
    weight: 4,
    run: async (step) => {
      const filter = { owner: step.other.id };
      step.saw((await step.call("result", (store) => store.search(step.bait(), { filter })))?.length ?? 0);
    },
  },
  {
    name: "search with a filter that all tenants' rows match",
    weight: 4,
    run: (step) =>
      step.call("result", (store) =>
        store.search(step.bait(), { k: 20, filter: { $or: [{ owner: { $ne: "nobody" } }, { n: { $gte: 0 } }] } }),
      ),
  },
  {
    name: "search by a promoted key that all tenants' rows match",
    weight: 3,
    run: (step) =>
      step.call("result", (store) => store.search(step.bait(), { k: 20, filter: step.random.pick(SHARED_FILTERS) })),
  },
  {
    name: "get by a promoted key that all tenants' rows match",
    weight: 3,
    run: (step) => step.call("result", (store) => store.get({ where: step.random.pick(SHARED_FILTERS) })),
  },
  {
    name: "delete by a promoted key of another tenant's rows",
    weight: 2,
    run: (step) =>
      step.call("result", (store) =>
        store.delete({ filter: { $and: [{ owner: step.other.id }, step.random.pick(SHARED_FILTERS)] } }),
      ),
  },
  {
    name: "search with an injected filter",
    weight: 3,
    run: (step) =>
      step.call("either", (store) => store.search(step.bait(), { k: 20, filter: step.random.pick(HOSTILE_FILTERS) })),
  },
  {
    name: "get with an injected filter",
    weight: 3,
    run: (step) => step.call("either", (store) => store.get({ where: step.random.pick(HOSTILE_FILTERS) })),
  },
  {
    name: "get by a text of all tenants",
    weight: 2,
    run: (step) => step.call("result", (store) => store.get({ whereDocument: { $contains: "LEAKMARK" } })),
  },
  {
    name: "get by a regular expression",
    weight: 2,
    run: (step) =>
      step.call("either", (store) =>
        store.get({ whereDocument: { $regex: step.random.pick(["LEAKMARK[0-9a-f]+", ".*", "(", "\\"]) } }),
      ),
  },
  {
    name: "delete with an injected filter",
    weight: 2,
    run: (step) =>
      // The negated ones match rows of the tenant's own and are left out: what they delete is no secret.
      step.call("either", (store) =>
        store.delete({ filter: { $and: [{ owner: "nobody" }, step.random.pick(HOSTILE_FILTERS)] } }),
      ),
  },
  {
    name: "search with a filter that is none",
    weight: 2,
    run: (step) =>
      step.call("refusal", (store) => store.search(step.bait(), { filter: step.random.pick(BAD_FILTERS) as Filter })),
  },
  {
    name: "delete with a filter that is none",
    weight: 2,
    run: (step) =>
      step.call("refusal", (store) =>
        store.delete({ filter: step.random.pick<Filter>([...(BAD_FILTERS as readonly unknown[] as Filter[]), {}]) }),
      ),
  },
];
