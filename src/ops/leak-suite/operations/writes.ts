import { AIMessage, HumanMessage } from "@langchain/core/messages";
import { vectorOf } from "../embeddings.js";
import type { LeakOperation } from "../operation.js";
import { toDocuments } from "../step.js";
import { SHARED_IDS, type LeakRow } from "../tenants.js";

const gone = (ids: readonly string[]): Map<string, null> => new Map(ids.map((id) => [id, null]));

/** Every public way to write, with ids that other tenants use too. */
export const WRITE_OPERATIONS: readonly LeakOperation[] = [
  {
    name: "addDocuments",
    weight: 8,
    run: (step) => {
      const rows = step.rows();
      return step.write("result", rows, (store) => store.addDocuments(toDocuments(rows)));
    },
  },
  {
    name: "addVectors with the vectors of another tenant",
    weight: 4,
    run: async (step) => {
      const rows = step.rows();
      // The vectors must stay recognisable as the tenant's own afterwards, so only the text behind them is the other's.
      const vectors = [...rows.keys()].map((id) => [
        ...vectorOf(`tenant#${step.tenant.index}`).slice(0, 1),
        ...vectorOf(`tenant#${step.other.index} ${id}`).slice(1),
      ]);
      await step.write("result", rows, (store) => store.addVectors(vectors, toDocuments(rows)));
    },
  },
  {
    name: "bulkLoad by COPY, in small batches",
    weight: 4,
    run: (step) => {
      const rows = step.rows();
      const documents = toDocuments(rows);
      return step.write("result", rows, (store) =>
        store.bulkLoad(
          documents.map((document) => ({ document, embedding: vectorOf(document.pageContent) })),
          { batchRows: 2, indexes: "keep", vacuum: false, checkpoint: `load of ${step.other.id.slice(0, 20)}` },
        ),
      );
    },
  },
  {
    name: "addDocuments that claim to be another tenant's",
    weight: 3,
    run: (step) => {
      const rows = new Map<string, LeakRow>(
        [...step.rows()].map(([id, row]) => [
          id,
          { ...row, metadata: { ...row.metadata, tenant_id: step.other.id, "app.current_tenant": step.other.id } },
        ]),
      );
      return step.write("result", rows, (store) => store.addDocuments(toDocuments(rows)));
    },
  },
  {
    name: "addDocuments with hostile text",
    weight: 2,
    run: (step) => {
      const rows = new Map<string, LeakRow>(
        [...step.rows()].map(([id, row]) => [
          id,
          { ...row, content: `${row.content}'); update chunks set tenant_id = '${step.other.index}'; -- $1 \\` },
        ]),
      );
      return step.write("result", rows, (store) => store.addDocuments(toDocuments(rows)));
    },
  },
  {
    name: "addDocuments that must fail as a whole",
    weight: 2,
    run: (step) => {
      const rows = step.rows(["doc-0", "doc-1", "doc-2"]);
      const documents = toDocuments(rows);
      documents[2]!.id = "doc-0";
      return step.write("refusal", rows, (store) => store.addDocuments(documents));
    },
  },
  {
    name: "addVectors that must fail as a whole",
    weight: 1,
    run: (step) => {
      const rows = step.rows();
      const vectors = [...rows.keys()].map(() => vectorOf("tenant#0").fill(Number.NaN, 3));
      return step.write("refusal", rows, (store) => store.addVectors(vectors, toDocuments(rows)));
    },
  },
  {
    name: "conversations under ids that all tenants use",
    weight: 3,
    run: (step) =>
      step.call("result", async (store) => {
        const history = store.chatHistory(step.random.pick(SHARED_IDS), { maxMessages: 20 });
        if (step.random.chance(0.2)) await history.clear();
        await history.addMessages([new HumanMessage(step.bait()), new AIMessage(step.tenant.marker)]);
        return (await history.getMessages()).map((message) => message.text);
      }),
  },
  {
    name: "delete by ids that all tenants use",
    weight: 4,
    run: (step) => {
      const ids = [...step.ids(3), `ghost-${step.other.index}`];
      return step.write("result", gone(ids), (store) => store.delete({ ids }));
    },
  },
  {
    name: "delete by a filter for another tenant",
    weight: 3,
    run: (step) => step.call("result", (store) => store.delete({ filter: { owner: step.other.id } })),
  },
  {
    name: "delete by a filter that all tenants' rows match",
    weight: 2,
    run: (step) => {
      const n = step.random.below(10);
      const ids = step.matching((row) => row.metadata["n"] === n);
      return step.write("result", gone(ids), (store) => store.delete({ filter: { n } }));
    },
  },
];
