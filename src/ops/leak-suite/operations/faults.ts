import type { LeakOperation } from "../operation.js";
import type { Step } from "../step.js";
import { named } from "./raw-reads.js";

/** Any tenant's read on each connection of the pool, to see that a failure left nothing behind. */
async function readAround(step: Step): Promise<void> {
  const { tenants, facts } = step.world;
  const others = Array.from({ length: facts.poolSize }, () => step.random.pick(tenants));
  await Promise.all(others.map((other) => step.call("result", (store) => store.search(step.bait(), { k: 3 }), other)));
}

function after(name: string, fail: (step: Step) => Promise<unknown>, server = false): LeakOperation {
  return {
    name: `fault: ${name}`,
    weight: 2,
    ...(server && { server }),
    run: async (step) => {
      await fail(step);
      await readAround(step);
    },
  };
}

/** Errors, rollbacks, cancellations and kills, each followed by calls of other tenants on the same pool. */
export const FAULT_OPERATIONS: readonly LeakOperation[] = [
  after("failed statement", (step) => step.raw("refusal", "select 1 / 0")),
  after("syntax error", (step) => step.raw("refusal", "select from where")),
  after("unknown table", (step) => step.raw("refusal", "select * from no_such_table")),
  after("parameters that do not fit", (step) => step.raw("refusal", "select $1::int", ["no number"])),
  after("cancellation", async (step) => {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), step.random.below(12));
    await step.call("either", (store) => store.search(step.bait(), { k: 50, signal: controller.signal }));
    clearTimeout(timer);
  }),
  after("cancelled before it began", (step) =>
    step.call("refusal", (store) => store.search(step.bait(), { signal: AbortSignal.abort() })),
  ),
  after("time-out", (step) => step.call("either", (store) => store.search(step.bait(), { timeoutMs: 1, k: 100 }))),
  after(
    "killed while reading",
    (step) =>
      step.raw(
        "refusal",
        named(step, "select pg_terminate_backend(pg_backend_pid()), t.* from (select 1) one left join {t} t on true"),
      ),
    true,
  ),
  after(
    "killed while writing",
    (step) =>
      step.raw(
        "either",
        named(
          step,
          "update {t} set text = 'killed' where pg_terminate_backend(pg_backend_pid()) returning pg_sleep(1)",
        ),
      ),
    true,
  ),
  after(
    "killed while deleting",
    (step) =>
      step.raw(
        "either",
        named(step, "delete from {t} where pg_terminate_backend(pg_backend_pid()) and pg_sleep(1) is not null"),
      ),
    true,
  ),
];
