import { PostgresVectorStore } from "../../../store/postgres-vector-store.js";
import type { LeakOperation } from "../operation.js";
import { toDocuments } from "../step.js";

/** Stores that are opened, built and ended beside those in use. */
export const OPENING_OPERATIONS: readonly LeakOperation[] = [
  {
    name: "fromExistingIndex for a tenant",
    run: async (step) => {
      const { facts, embeddings } = step.world;
      await step.attempt("result", async () => {
        const args = { ...facts.args(step.collection), tenantId: step.tenant.id };
        const store = await PostgresVectorStore.fromExistingIndex(embeddings, args);
        const hits = await store.search(step.bait(), { k: 10 });
        await store.end();
        return hits;
      });
    },
  },
  {
    name: "fromDocuments for a tenant",
    run: async (step) => {
      const { facts, embeddings } = step.world;
      const rows = step.rows();
      await step.write("result", rows, async () => {
        const args = { ...facts.args(step.collection), tenantId: step.tenant.id };
        await PostgresVectorStore.fromDocuments(toDocuments(rows), embeddings, args);
      });
    },
  },
  {
    name: "a store without tenancy on the table",
    run: (step) => {
      const { facts, embeddings } = step.world;
      const { tableName, schemaName, pool } = facts.args(step.collection);
      const args = {
        pool: pool!,
        ...(tableName !== undefined && { tableName }),
        ...(schemaName !== undefined && { schemaName }),
      };
      return step.attempt("refusal", () => PostgresVectorStore.initialize(embeddings, args), undefined);
    },
  },
  {
    name: "a store whose filter is for another tenant",
    run: async (step) => {
      const { facts, embeddings } = step.world;
      const args = { ...facts.args(step.collection), tenantId: step.tenant.id, filter: { owner: step.other.id } };
      const found = await step.attempt("result", async () => {
        const store = await PostgresVectorStore.fromExistingIndex(embeddings, args);
        return [...(await store.search(step.bait(), { k: 10 })), ...(await store.get())];
      });
      step.saw(found?.length ?? 0);
    },
  },
  {
    name: "ensure and end on a view",
    run: (step) =>
      step.call("result", async (store) => {
        await store.ensureTableInDatabase();
        await store.ensureCollectionTableInDatabase();
        await store.createHnswIndex();
        await store.end();
      }),
  },
];
