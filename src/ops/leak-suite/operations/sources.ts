import { createHash } from "node:crypto";
import { vectorOf } from "../embeddings.js";
import type { LeakOperation } from "../operation.js";
import { toDocuments } from "../step.js";
import type { LeakTenant } from "../tenants.js";

/** Names and bytes that all tenants have, so that what forgets the tenant finds somebody else's. */
const NAMES = ["README.md", "docs/guide.md", "https://example.com/"];
const hashOf = (name: string): string => createHash("sha256").update(name).digest("hex");
const COMMON_TEXT = "the same text for everybody";

/** What a tenant says of its source, with its mark. */
const settingsOf = (tenant: LeakTenant): string => tenant.marker;

/** What was ingested from where, and the cache of vectors. */
export const SOURCE_OPERATIONS: readonly LeakOperation[] = [
  {
    name: "sources.commit under names that all tenants use",
    weight: 4,
    run: (step) => {
      const rows = step.rows();
      const name = step.random.pick(NAMES);
      return step.write("result", rows, async (store) => {
        const [before] = await store.sources.find([name]);
        const change = {
          source: name,
          expected: before?.version,
          hash: hashOf(name),
          settings: settingsOf(step.tenant),
          chunkIds: [...rows.keys()],
        };
        const added = toDocuments(rows).map((document) => ({ document, vector: vectorOf(document.pageContent) }));
        const commit = { sources: [change], added, kept: [], gone: [] };
        // Another step of the same tenant may have been faster; the rows are then written all the same.
        if ((await store.sources.commit(commit)) === undefined) await store.sources.commit({ ...commit, sources: [] });
      });
    },
  },
  {
    name: "sources.list, find and findByHash",
    weight: 4,
    run: async (step) => {
      await step.call("result", async (store) => {
        const listed = [];
        for await (const source of store.sources.list()) listed.push(source);
        return listed;
      });
      await step.call("result", (store) => store.sources.find(NAMES));
      const found = await step.call("result", (store) => store.sources.findByHash(NAMES.map(hashOf)));
      // A name has one row for each tenant and collection.
      step.saw(found?.length ?? 0, NAMES.length);
    },
  },
  {
    name: "sources.append and remove with versions that are not the tenant's",
    weight: 2,
    run: async (step) => {
      const source = { source: step.random.pick(NAMES), version: "1" };
      const [row] = toDocuments(step.rows(["doc-0"]));
      const chunk = { document: row!, vector: vectorOf(row!.pageContent) };
      const appended = await step.call("result", (store) => store.sources.append(source, [chunk]));
      step.touched(appended === true ? 1 : 0);
      const removed = await step.call("result", (store) => store.sources.remove(source));
      step.touched(removed ?? 0);
    },
  },
  {
    name: "the cache of vectors, of a text that all tenants have",
    weight: 3,
    run: async (step) => {
      const own = vectorOf(`tenant#${step.tenant.index}`);
      await step.call("result", (store) => store.sources.cacheVectors(new Map([[COMMON_TEXT, own]])));
      await step.call("result", async (store) =>
        [...(await store.sources.cachedVectors([COMMON_TEXT, step.bait()])).values()].map((vector) => [...vector]),
      );
      if (step.random.chance(0.2)) await step.call("result", (store) => store.sources.clearVectorCache());
    },
  },
];
