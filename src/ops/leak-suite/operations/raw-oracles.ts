import type { LeakOperation } from "../operation.js";
import { named } from "./raw-reads.js";

/** Functions that quote their argument when they fail: no row of another tenant may reach one. */
const CASTS: Readonly<Record<string, string>> = {
  integer: "select text::int from {t} order by tenant_id desc, id desc",
  uuid: "select text::uuid from {t}",
  date: "select max((metadata->>'marker')::date) from {t}",
  json: "select text::jsonb from {t} where length(text) > 1",
  vector: "select text::numeric + 1 from {t}",
  "cast in a condition": "select 1 from {t} where text::int = 1",
  "cast of the metadata in a condition": "select 1 from {t} where (metadata->'nested'->>'text')::int8 > 0",
  "cast in an order": "select 1 from {t} order by text::numeric",
  "cast in a join": "select 1 from {t} a join {t} b on a.text::int = b.text::int",
  "regular expression from a row": "select 1 from {t} where 'x' ~ ('(' || text)",
  "raise in a block": "do $$ begin raise exception 'rows: %', (select string_agg(text, ',') from {t}); end $$",
  "block that rolls back":
    "do $$ begin update {t} set text = 'rolled back'; raise exception '%', (select count(*) from {t}); end $$",
};

/** Statements whose failure alone would say that another tenant has rows. */
const ORACLES: readonly string[] = [
  "select 1 / (length(text) - length(text)) from {t} where tenant_id = $1",
  "select text::int from {t} where tenant_id = $1",
  "select 1 from {t} where tenant_id = $1 and text::int = 1",
  "select 1 from {t} where text::int = 1 and tenant_id = $1",
  "select 1 / (1 - (exists (select from {t} where tenant_id = $1))::int)",
  "update {t} set text = text::int::text where tenant_id = $1",
  "delete from {t} where tenant_id = $1 and text::int = 1",
];

export const RAW_ORACLE_OPERATIONS: readonly LeakOperation[] = [
  ...Object.entries(CASTS).map(([name, text]): LeakOperation => ({
    name: `raw error: ${name}`,
    // A tenant that has deleted all of its rows has nothing to fail on.
    run: (step) => step.raw("either", named(step, text)),
  })),
  {
    name: "raw error: another tenant's rows as an oracle",
    weight: 5,
    run: async (step) => {
      const reply = await step.raw("either", named(step, step.random.pick(ORACLES)), [step.other.id]);
      if (reply === undefined) step.saw(1);
    },
  },
];
