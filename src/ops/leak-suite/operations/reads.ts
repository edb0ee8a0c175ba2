import { Document } from "@langchain/core/documents";
import { vectorOf } from "../embeddings.js";
import type { LeakOperation } from "../operation.js";

/** Every public way to read. */
export const READ_OPERATIONS: readonly LeakOperation[] = [
  {
    name: "search by text",
    weight: 8,
    run: (step) =>
      step.call("result", (store) =>
        store.search(step.bait(), { k: 1 + step.random.below(30), includeEmbeddings: step.random.chance(0.3) }),
      ),
  },
  {
    name: "search by a vector of another tenant",
    weight: 8,
    run: (step) => step.call("result", (store) => store.search(vectorOf(step.bait()), { k: 10, efSearch: 40 })),
  },
  {
    name: "similaritySearch",
    weight: 4,
    run: (step) => step.call("result", (store) => store.similaritySearch(step.bait(), 5)),
  },
  {
    name: "similaritySearchWithScore",
    weight: 3,
    run: (step) => step.call("result", (store) => store.similaritySearchWithScore(step.bait(), 5)),
  },
  {
    name: "similaritySearchVectorWithScore",
    weight: 3,
    run: (step) => step.call("result", (store) => store.similaritySearchVectorWithScore(vectorOf(step.bait()), 5)),
  },
  {
    name: "similaritySearchVectorWithScores",
    weight: 2,
    run: (step) => step.call("result", (store) => store.similaritySearchVectorWithScores(vectorOf(step.bait()), 5)),
  },
  {
    name: "maxMarginalRelevanceSearch",
    weight: 3,
    run: (step) =>
      step.call("result", (store) => store.maxMarginalRelevanceSearch(step.bait(), { k: 3, fetchK: 8, lambda: 0.3 })),
  },
  {
    name: "retriever",
    weight: 3,
    run: (step) =>
      step.call("result", (store) =>
        store
          .asRetriever({ k: 4, includeScores: true, ...(step.random.chance(0.5) && { scoreThreshold: -1 }) })
          .invoke(step.bait()),
      ),
  },
  {
    name: "retriever by the base class's signature, filter for another tenant",
    weight: 2,
    run: async (step) => {
      const found = await step.call("result", (store) =>
        store.asRetriever(4, { owner: step.other.id }).invoke(step.bait()),
      );
      step.saw(found?.length ?? 0);
    },
  },
  {
    name: "retriever, mmr",
    weight: 2,
    run: (step) =>
      step.call("result", (store) =>
        store.asRetriever({ searchType: "mmr", k: 3, searchKwargs: { fetchK: 6 } }).invoke(step.bait()),
      ),
  },
  {
    name: "explain a search",
    weight: 2,
    run: (step) =>
      step.call("result", (store) =>
        store.explain(step.bait(), {
          k: 1 + step.random.below(20),
          searchType: step.random.pick(["similarity", "lexical", "hybrid"]),
        }),
      ),
  },
  {
    name: "explain a query over all tenants",
    weight: 2,
    run: async (step) => {
      const explained = await step.call("result", (store) =>
        store.explain({
          sql: `select * from ${step.world.tables.chunks} where collection = $1`,
          values: [step.collection],
        }),
      );
      const seen = explained?.statements[0]?.tables.find(({ table }) => step.world.tables.chunks.includes(table));
      step.saw(seen?.rows ?? 0, step.matching(() => true).length);
    },
  },
  {
    name: "search by words, and by both",
    weight: 6,
    run: (step) =>
      step.call("result", (store) =>
        store.search(step.bait(), {
          k: 1 + step.random.below(20),
          searchType: step.random.pick(["lexical", "hybrid"]),
        }),
      ),
  },
  {
    name: "search by a beginning and by a misspelt word of another tenant",
    weight: 2,
    run: (step) =>
      step.call("result", (store) =>
        store.search(`${step.other.marker.slice(0, 6)}* ${step.bait().slice(0, -1)}`, { searchType: "lexical", k: 20 }),
      ),
  },
  {
    name: "lexical index",
    weight: 1,
    run: async (step) => {
      await step.call("result", (store) => store.lexical.state());
      await step.call("result", (store) => store.lexical.compact());
    },
  },
  {
    name: "get all",
    weight: 3,
    run: async (step) => {
      const mine = [...step.tenant.rows.keys()].filter((key) => key.startsWith(`${step.collection}\0`)).length;
      const found = await step.call("result", (store) =>
        store.get({ include: ["documents", "metadatas", "embeddings"] }),
      );
      step.saw(found?.length ?? 0, mine);
    },
  },
  {
    name: "get by page",
    weight: 2,
    run: (step) => step.call("result", (store) => store.get({ limit: 5, offset: step.random.below(40) })),
  },
  {
    name: "get by ids that all tenants use",
    weight: 4,
    run: (step) => step.call("result", (store) => store.get({ ids: step.ids(8) })),
  },
  {
    name: "getByIds",
    weight: 4,
    run: (step) => step.call("result", (store) => store.getByIds([...step.ids(6), `ghost-${step.other.index}`])),
  },
  {
    name: "getNeighbours of documents that name another tenant's source",
    weight: 2,
    run: (step) =>
      step.call("result", (store) =>
        store.getNeighbours(
          step.ids(6).map((id) => new Document({ id, pageContent: "", metadata: { owner: step.other.id } })),
          { sourceKey: "owner", positionKey: "n", before: 9, after: 9 },
        ),
      ),
  },
  {
    name: "getOrCreateCollection",
    weight: 2,
    run: (step) => step.call("result", (store) => store.getOrCreateCollection()),
  },
  {
    name: "a burst of many tenants over the pool",
    weight: 2,
    run: async (step) => {
      const { tenants } = step.world;
      const guests = Array.from({ length: 6 }, () => step.random.pick(tenants));
      await Promise.all(guests.map((tenant) => step.call("result", (store) => store.search(step.bait()), tenant)));
    },
  },
];
