import { PostgresVectorStore } from "../../../src/index.js";
import type { Fault } from "./fault.js";

export const SCHEMA_FAULTS: readonly Fault[] = [
  {
    id: "schema-missing",
    name: "no such table",
    table: "nowhere",
    plant: "",
    evidence: /There is no table "nowhere"/,
    cure: /init$/,
    heal: { sql: "" },
    healthy: "create schema elsewhere\ncreate table elsewhere.empty (id int)",
    tidy: "drop schema if exists elsewhere cascade",
  },
  {
    id: "schema-pending",
    name: "a table of the store that is missing",
    table: "empty",
    plant: async ({ sql, ownerUrl, embeddings }) => {
      await sql("drop table empty_loads\ndelete from langchain_pgvector_revisions where relation = 'empty_loads'");
      return async () => {
        // What the cure does.
        const store = await PostgresVectorStore.initialize(embeddings, {
          connectionString: ownerUrl,
          tableName: "empty",
        });
        await store.end();
      };
    },
    evidence: /pending: loads\//,
    cure: /init --table empty --plan/,
    heal: { sql: "" },
    healthy: "create table empty_loads_of_old as table empty_loads",
    tidy: "drop table if exists empty_loads_of_old",
  },
  {
    id: "schema-drift",
    name: "a column that was renamed",
    table: "empty",
    plant: "alter table empty rename column text to body",
    evidence: /has no column "text"/,
    cure: /init --table empty --plan/,
    heal: { sql: "alter table empty rename column body to text" },
    healthy: "alter table empty add column note text",
    tidy: "alter table empty drop column if exists note",
  },
  {
    id: "column-type-drift",
    name: "an embedding column without dimensions",
    table: "empty",
    plant: "alter table empty alter column embedding type vector",
    evidence: /has the type vector and not vector\(8\)/,
    cure: /alter column embedding type vector\(8\);$/,
    heal: "cure",
    healthy: "alter table empty add column any_dimensions vector",
    tidy: "alter table empty drop column if exists any_dimensions",
  },
  {
    id: "column-type-drift",
    name: "a column of another model's dimensions",
    table: "empty",
    plant: "alter table empty alter column embedding type vector(9)",
    evidence: /has the type vector\(9\) and not vector\(8\)/,
    cure: /alter column embedding type vector\(8\);$/,
    heal: "cure",
    healthy: "alter table empty add column nine_dimensions vector(9)",
    tidy: "alter table empty drop column if exists nine_dimensions",
  },
  {
    id: "primary-key-missing",
    name: "no primary key",
    table: "empty",
    plant: "alter table empty drop constraint empty_pkey",
    evidence: /has no primary key/,
    cure: /add primary key \(tenant_id, collection, "id"\);$/,
    heal: "cure",
    healthy: async ({ sql }) => {
      await sql("alter table empty rename constraint empty_pkey to empty_key");
      return () => sql("alter table empty rename constraint empty_key to empty_pkey");
    },
  },
  {
    id: "trigger-missing",
    name: "a trigger of the lexical index that is disabled",
    plant: "alter table notes disable trigger langchain_pgvector_lexical_add",
    evidence: /langchain_pgvector_lexical_add on public\.notes is disabled/,
    cure: /^alter table public\.notes enable trigger/,
    heal: "cure",
    healthy:
      "create function noop() returns trigger language plpgsql as 'begin return new; end'\n" +
      "create trigger off before insert on empty for each row execute function noop()\nalter table empty disable trigger off",
    tidy: "drop trigger if exists off on empty\ndrop function if exists noop",
  },
  {
    id: "grant-missing",
    name: "a right that the application lacks",
    plant: "revoke update, delete on notes from langchain_pgvector_app",
    evidence: /lacks update, delete on public\.notes/,
    cure: /^grant update, delete on public\.notes to "langchain_pgvector_app";$/,
    heal: "fix",
    healthy: "revoke update, delete on langchain_pgvector_tenants from langchain_pgvector_app",
  },
  {
    id: "sequence-near-end",
    name: "a sequence that runs out",
    table: "empty",
    plant:
      "create sequence numbers as smallint\nselect setval('numbers', 32000)\ngrant select on numbers to langchain_pgvector_owner",
    evidence: /has given out 98 % of its numbers/,
    cure: /^alter sequence public\.numbers as bigint no maxvalue;$/,
    heal: "cure",
    healthy: "create sequence young as smallint\nselect setval('young', 3000)",
    tidy: "drop sequence if exists young, numbers",
  },
];
