import { vectorOf } from "../embeddings.js";
import type { LeakOperation } from "../operation.js";
import { named } from "./raw-reads.js";

/** Statements that would change rows of the tenant `$1`, and have to find none. */
const REACHING_OUT: Readonly<Record<string, string>> = {
  "update of another tenant": "update {t} set text = 'defaced' where tenant_id = $1",
  "update of another tenant's id": "update {t} set text = 'defaced' where tenant_id = $1 and id = 'doc-1' returning *",
  "update joined to another tenant":
    "update {t} t set text = 'defaced' from {t} o where o.tenant_id = $1 and t.id = o.id",
  "delete of another tenant": "delete from {t} where tenant_id = $1",
  "delete of another tenant's id": "delete from {t} where tenant_id = $1 and id = 'doc-2' returning *",
  "delete of another tenant's notes": "delete from {n} where tenant_id = $1",
  "delete of another tenant's collections": "delete from {c} where tenant_id = $1",
  "update of another tenant's collections": "update {c} set cmetadata = '{}' where tenant_id = $1",
};

/** Statements that write a row for the tenant `$1`, and have to be refused. `$2`: text, `$3`: vector. */
const WRITING_FOR: Readonly<Record<string, string>> = {
  insert:
    "insert into {t} (tenant_id, collection, id, text, content_hash, embedding) values ($1, 'alpha', 'planted', $2, '', $3)",
  "insert over an existing id":
    "insert into {t} (tenant_id, collection, id, text, content_hash, embedding) values ($1, 'alpha', 'doc-1', $2, '', $3) on conflict (tenant_id, collection, id) do update set text = excluded.text",
  "insert that passes over an existing id":
    "insert into {t} (tenant_id, collection, id, text, content_hash, embedding) values ($1, 'alpha', 'doc-1', $2, '', $3) on conflict do nothing",
  collection: "insert into {c} (tenant_id, name, cmetadata) select $1, left($2, 5), null::jsonb where $3 <> ''",
  "registry entry": "insert into {r} (tenant_id, store) select $1, $2 where $3 <> ''",
  "note on a chunk":
    "insert into {n} (tenant_id, collection, chunk_id, note) select $1, 'alpha', 'doc-1', $2 where $3 <> ''",
};

/** Writes across tenants by statements of the application's own. */
export const RAW_WRITE_OPERATIONS: readonly LeakOperation[] = [
  ...Object.entries(REACHING_OUT).map(([name, text]): LeakOperation => ({
    name: `raw write: ${name}`,
    run: async (step) => step.touched((await step.raw("result", named(step, text), [step.other.id]))?.rowCount),
  })),
  ...Object.entries(WRITING_FOR).map(([name, text]): LeakOperation => ({
    name: `raw write: ${name} for another tenant`,
    run: async (step) => {
      const values = [step.other.id, `${step.tenant.marker} planted`, `[${vectorOf("tenant#0").join(",")}]`];
      step.touched((await step.raw("refusal", named(step, text), values))?.rowCount);
    },
  })),
  {
    name: "raw write: update of all rows",
    run: async (step) => {
      const reply = await step.raw("result", named(step, "update {t} set metadata = metadata"));
      step.touched(reply?.rowCount, step.tenant.rows.size);
    },
  },
  {
    name: "raw write: giving a row away",
    run: async (step) => {
      const reply = await step.raw("either", named(step, "update {t} set tenant_id = $1 where id like 'doc-%'"), [
        step.other.id,
      ]);
      step.touched(reply?.rowCount);
    },
  },
  {
    name: "raw write: note on a chunk that only others have",
    run: async (step) => {
      const text = named(step, "insert into {n} (tenant_id, collection, chunk_id, note) values ($1, 'alpha', $2, $3)");
      await step.raw("refusal", text, [step.tenant.id, `only-${step.other.index}`, step.tenant.marker]);
    },
  },
  {
    name: "raw write: note on a chunk of one's own",
    run: async (step) => {
      const text = named(
        step,
        "insert into {n} (tenant_id, collection, chunk_id, note) select tenant_id, collection, id, $1 from {t} on conflict do nothing returning note",
      );
      step.touched((await step.raw("result", text, [step.tenant.marker]))?.rowCount, step.tenant.rows.size);
    },
  },
  {
    name: "raw write: errors that quote a row",
    run: (step) =>
      step.raw(
        "either",
        named(
          step,
          step.random.pick([
            "update {t} set text = null",
            "update {t} set id = ''",
            // Where no other row has the id, the division undoes the change.
            "with moved as (update {t} set id = 'doc-1' where id in ('doc-2', 'doc-3') returning 1 as one) select 1 / (count(*) - count(*)) from moved",
            "insert into {t} select * from {t}",
            "insert into {n} select tenant_id, collection, 'no such chunk', text from {t}",
          ]),
        ),
      ),
  },
  {
    name: "raw write: merge",
    run: async (step) => {
      const text = named(
        step,
        "merge into {t} t using (select $1::text as tenant_id) s on t.tenant_id = s.tenant_id when matched then update set text = 'defaced'",
      );
      step.touched((await step.raw("result", text, [step.other.id]))?.rowCount);
    },
  },
];
