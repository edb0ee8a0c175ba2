import type { TenantAdmin } from "../../../store/tenants/admin.js";
import type { ExportRecord } from "../../../store/tenants/export-record.js";
import type { StoreIndexes } from "../../indexes/store-indexes.js";
import type { LeakOperation } from "../operation.js";
import type { Step } from "../step.js";

/** What only the administrator of the tenants may do; an application is refused before anything is read. */
const ADMINISTRATION: Readonly<Record<string, (tenants: TenantAdmin, other: string) => Promise<unknown>>> = {
  list: (tenants) => tenants.list(),
  create: (tenants, other) => tenants.create(`${other} again`),
  suspend: (tenants, other) => tenants.suspend(other),
  resume: (tenants, other) => tenants.resume(other),
  delete: (tenants, other) => tenants.delete(other),
  export: (tenants, other) => collect(tenants.export(other)),
  import: (tenants, other) => tenants.import(other, []),
  expire: (tenants) => tenants.expire({ olderThanMs: 0 }),
  login: (tenants, other) => tenants.login(other),
  dropLogin: (tenants, other) => tenants.dropLogin(other),
};

/** What measures all tenants, and says of whom; an application may measure the one that it names. */
const MEASURING: Readonly<Record<string, (indexes: StoreIndexes) => Promise<unknown>>> = {
  tune: (indexes) => indexes.tune(),
  compare: (indexes) => indexes.compare(),
  probe: (indexes) => indexes.probe(),
  history: (indexes) => indexes.history(),
};

/** The life cycle of tenants, attempted by the application and carried out by the administrator. */
export const LIFE_CYCLE_OPERATIONS: readonly LeakOperation[] = [
  ...Object.entries(ADMINISTRATION).map(([name, run]): LeakOperation => ({
    name: `tenants.${name} by the application`,
    application: true,
    run: (step) => step.call("refusal", (store) => run(store.tenants, step.other.id)),
  })),
  ...Object.entries(MEASURING).map(([name, run]): LeakOperation => ({
    name: `indexes.${name} by the application`,
    application: true,
    run: (step) => step.call("refusal", (store) => run(store.indexes)),
  })),
  {
    name: "indexes.list and advice",
    run: (step) => step.call("result", async ({ indexes }) => [await indexes.list(), await indexes.advice()]),
  },
  {
    name: "expire by a filter for another tenant",
    run: async (step) => {
      const expiry = { filter: { owner: step.other.id }, pauseMs: 0 };
      step.touched(await step.call("result", (store) => store.expire(expiry)));
    },
  },
  {
    name: "expire",
    run: (step) => {
      const n = step.random.below(10);
      const gone = step.matching((row) => row.metadata["n"] === n);
      return step.write("result", new Map(gone.map((id) => [id, null])), (store) =>
        store.expire({ filter: { n }, olderThanMs: 0, pauseMs: 0, batchRows: 2 }),
      );
    },
  },
  {
    name: "export by the administrator",
    run: async (step) => {
      await enlist(step);
      await step.attempt("result", () => collect(step.world.admin.tenants.export(step.tenant.id)));
    },
  },
  {
    name: "suspend and resume by the administrator",
    run: async (step) => {
      const { tenants } = step.world.admin;
      await enlist(step);
      await step.attempt("result", () => tenants.suspend(step.tenant.id));
      const found = await step.call("result", (store) => store.get());
      step.saw(found?.length ?? 0);
      const rows = step.rows();
      await step.write("refusal", rows, (store) =>
        store.addDocuments(
          [...rows.keys()].map((id) => ({ id, pageContent: "written while suspended", metadata: {} })),
        ),
      );
      await step.attempt("result", () => tenants.resume(step.tenant.id));
    },
  },
  {
    name: "delete by the administrator",
    run: async (step) => {
      await enlist(step);
      await step.attempt("result", () => step.world.admin.tenants.delete(step.tenant.id));
      step.tenant.rows.clear();
    },
  },
];

/** A tenant that was deleted comes back with its next write; only one that is there can be suspended. */
function enlist(step: Step): Promise<unknown> {
  return step.attempt("result", () => step.world.admin.tenants.create(step.tenant.id));
}

async function collect(records: AsyncIterable<ExportRecord>): Promise<ExportRecord[]> {
  const all: ExportRecord[] = [];
  for await (const record of records) all.push(record);
  return all;
}
