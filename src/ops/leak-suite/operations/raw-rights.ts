import type { LeakOperation } from "../operation.js";
import { named } from "./raw-reads.js";

/** What only the owner may do; to an application all of it is refused. */
const OWNERS_RIGHTS: Readonly<Record<string, string>> = {
  truncate: "truncate {t}",
  "disable row-level security": "alter table {t} disable row level security",
  "no force": "alter table {t} no force row level security",
  "drop policy": "drop policy langchain_pgvector_tenant on {t}",
  "alter policy": "alter policy langchain_pgvector_tenant on {t} using (true)",
  "create policy": "create policy open on {t} using (true)",
  "drop table": "drop table {t} cascade",
  "add column": "alter table {t} add column extra text default current_user",
  "add rule": "create rule spy as on insert to {t} do also select 1",
  "create index": "create index on {t} (text)",
  "change owner": "alter table {t} owner to current_user",
  "attach as a child": "alter table {t} no inherit pg_class",
};

/** What nobody may do under row-level security, or what the registry keeps to its administrator. */
const NOBODYS_RIGHTS: Readonly<Record<string, string>> = {
  "copy into the table": "copy {t} from stdin",
  "copy a file into the table": "copy {t} from '/dev/null'",
  "copy to a file of the server": "copy (select * from {t}) to '/tmp/leak-suite.txt'",
  "read without policies": "do $$ begin set local row_security = off; perform from {t}; end $$",
  "suspend a tenant": "update {r} set state = 'suspended'",
  "drop tenants from the registry": "delete from {r}",
  "read the statistics of the planner": "select * from pg_statistic",
  "read the passwords": "select * from pg_authid",
};

export const RAW_RIGHTS_OPERATIONS: readonly LeakOperation[] = [
  ...Object.entries(OWNERS_RIGHTS).map(([name, text]): LeakOperation => ({
    name: `raw right: ${name}`,
    stranger: true,
    run: (step) => step.raw("refusal", named(step, text)),
  })),
  ...Object.entries(NOBODYS_RIGHTS).map(([name, text]): LeakOperation => ({
    name: `raw right: ${name}`,
    stranger: true,
    run: (step) => step.raw("refusal", named(step, text)),
  })),
  { name: "raw right: copy out", run: (step) => step.raw("either", named(step, "copy {t} to stdout")) },
];
