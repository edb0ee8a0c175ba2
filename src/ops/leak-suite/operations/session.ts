import type { LeakOperation } from "../operation.js";
import type { Step } from "../step.js";
import { named } from "./raw-reads.js";

/** Leaves something in the session, then lets others look for it on every connection of the pool. */
function residue(name: string, leave: readonly string[], look: string): LeakOperation {
  return {
    name: `session: ${name}`,
    weight: 2,
    run: async (step) => {
      for (const text of leave) await step.raw("either", named(step, text));
      await lookAround(step, named(step, look));
    },
  };
}

async function lookAround(step: Step, text: string): Promise<void> {
  const { tenants, facts } = step.world;
  const others = Array.from({ length: facts.poolSize }, () => step.random.pick(tenants));
  await Promise.all(others.map((other) => step.raw("either", text, [], other)));
}

/** Rows, cursors, plans and transactions that one call may leave on a connection that the next call gets. */
export const SESSION_OPERATIONS: readonly LeakOperation[] = [
  residue("temporary table", ["create temp table leak_residue as select * from {t}"], "select * from leak_residue"),
  residue("temporary view", ["create temp view leak_view as select * from {t}"], "select * from leak_view"),
  residue(
    "cursor with hold",
    ["declare leak_cursor cursor with hold for select * from {t}"],
    "fetch all from leak_cursor",
  ),
  residue("prepared statement", ["prepare leak_plan as select * from {t}"], "execute leak_plan"),
  residue("open transaction", ["begin", "select * from {t}"], "select * from {t}"),
  residue(
    "open transaction with a cursor",
    ["start transaction", "declare c cursor for select * from {t}"],
    "fetch all from c",
  ),
  residue("early commit", ["commit"], "select * from {t}"),
  residue("early rollback", ["rollback"], "select * from {t}"),
  residue("commit and a second statement", ["commit; select * from {t}"], "select * from {t}"),
  residue("rollback and a second statement", ["rollback; table {t}"], "table {t}"),
  residue("chained transaction", ["commit and chain"], "select * from {t}"),
  residue("savepoint", ["savepoint leak"], "select * from {t}"),
  residue(
    "function that spies on conditions",
    [
      "create function pg_temp.leak_spy(text) returns boolean language plpgsql cost 0.0000001 as $$ begin raise exception '%', $1; end $$",
      "select * from {t} where pg_temp.leak_spy(text)",
    ],
    "select * from {t} where pg_temp.leak_spy(text)",
  ),
  {
    name: "session: forgotten plans",
    run: async (step) => {
      const { tenants, facts } = step.world;
      await step.raw("either", "deallocate all");
      const others = Array.from({ length: facts.poolSize }, () => step.random.pick(tenants));
      await Promise.all(others.map((other) => step.call("result", (store) => store.search(step.bait()), other)));
    },
  },
  {
    name: "session: one prepared statement, many tenants",
    weight: 2,
    run: async (step) => {
      const plan = `leak_plan_${step.random.below(4)}`;
      await step.raw("either", named(step, `prepare ${plan} (text) as select text from {t} where id = $1 or $1 = ''`));
      // More often than it takes Postgres to settle for a generic plan.
      for (let times = 0; times < 7; times += 1) {
        const other = step.random.pick(step.world.tenants);
        await step.raw("either", `execute ${plan} ('')`, [], other);
      }
    },
  },
];
