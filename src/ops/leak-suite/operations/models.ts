import type { ModelAdmin } from "../../../models/model-admin.js";
import { NextLeakEmbeddings, vectorOf } from "../embeddings.js";
import { vectorCode } from "../markers.js";
import type { LeakOperation } from "../operation.js";
import type { Step } from "../step.js";
import { named } from "./raw-reads.js";

/** What counts, reads or changes rows of all tenants; an application is refused before anything is read. */
const ADMINISTRATION: Readonly<Record<string, (models: ModelAdmin, other: string) => Promise<unknown>>> = {
  status: (models) => models.status(),
  planAdd: (models) => models.planAdd({ embeddings: new NextLeakEmbeddings("another") }),
  add: (models) => models.add({ embeddings: new NextLeakEmbeddings("another") }),
  backfill: (models) => models.backfill({ version: 2, retrySetAside: true }),
  compare: (models, other) => models.compare({ version: 2, tenantId: other }),
  planCutover: (models) => models.planCutover(),
  cutover: (models) => models.cutover({ force: true }),
  rollback: (models) => models.rollback({ force: true }),
  retire: (models) => models.retire({ version: 2, force: true }),
  override: (models, other) => models.override(other, 2),
};

/** Two model versions of one store: their columns, and what changes them. */
export const MODEL_OPERATIONS: readonly LeakOperation[] = [
  ...Object.entries(ADMINISTRATION).map(([name, run]): LeakOperation => ({
    name: `models.${name} by the application`,
    application: true,
    run: (step) => step.call("refusal", (store) => run(store.models, step.other.id)),
  })),
  {
    name: "models.list",
    run: (step) => step.call("result", (store) => store.models.list()),
  },
  {
    name: "raw read: vectors of both versions",
    weight: 4,
    run: lookAtVectors,
  },
  {
    name: "raw read: nearest to a row of another tenant, by the second version",
    weight: 3,
    run: (step) =>
      step.raw("result", named(step, "select text from {t} order by embedding_v2::text <> $1, id limit 50"), [
        `[${vectorOf(step.bait()).join(",")}]`,
      ]),
  },
  {
    name: "raw write: vectors into another tenant's rows",
    weight: 2,
    run: async (step) => {
      const text = named(step, "update {t} set embedding_v2 = null where tenant_id = $1");
      step.touched((await step.raw("result", text, [step.other.id]))?.rowCount);
    },
  },
  {
    name: "raw read: what waits for its vector",
    run: async (step) => {
      const { chunks } = step.world.tables;
      const own = chunks.replace(/"$/, '_set_aside"');
      const leases = chunks.replace(/"$/, '_backfill"');
      for (const table of [own, leases]) {
        const reply = await step.raw("result", `select * from ${table} where tenant_id <> $1`, [step.tenant.id]);
        step.saw(reply?.rows.length ?? 0);
      }
    },
  },
  {
    name: "a text without its vector, and the backfill of the administrator",
    run: async (step) => {
      // The tenant's own statement; the trigger takes the vectors of a text that changes.
      await step.raw("result", named(step, "update {t} set embedding_v2 = null where id = $1"), ["doc-1"]);
      const { models } = step.world.admin;
      await step.attempt("result", () => models.backfill({ version: 2, index: false, maxSlowdown: false }));
      await lookAtVectors(step);
    },
  },
  {
    name: "a search by the version of an override that the administrator gives and takes",
    run: async (step) => {
      const { models } = step.world.admin;
      // Refused while a text waits for its vector.
      await step.attempt("either", () => models.override(step.tenant.id, 2));
      await step.call("result", (store) => store.search(step.bait(), { k: 50 }));
      await step.attempt("result", () => models.override(step.tenant.id, undefined));
    },
  },
  {
    name: "models.compare by the administrator, of one tenant",
    // It says so when the versions change meanwhile.
    run: (step) =>
      step.attempt("either", () =>
        step.world.admin.models.compare({
          version: 2,
          tenantId: step.tenant.id,
          queries: [{ text: step.bait() }],
          k: 3,
        }),
      ),
  },
];

/** Each vector begins with the code of its tenant. */
async function lookAtVectors(step: Step): Promise<void> {
  const reply = await step.raw("result", named(step, "select embedding::text as a, embedding_v2::text as b from {t}"));
  const vectors = (reply?.rows ?? []).flatMap(({ a, b }) => [a, b]).filter((vector) => typeof vector === "string");
  const own = Math.fround(vectorCode(step.tenant.index));
  step.saw(vectors.filter((vector) => Math.fround((JSON.parse(vector) as number[])[0]!) !== own).length);
}
