import { Sql } from "sql-template-tag";
import type { QueryRequest } from "./pool.js";

/** A statement and the name under which it appears in `pg_stat_statements` and in error messages. */
export interface Statement {
  readonly name: string;
  readonly sql: Sql;
  /** As {@link textOf} makes it of the two, where that was done before. */
  readonly text?: string;
}

/**
 * The text of a statement with its name as a comment after the first word: PostgreSQL 18 drops a comment in front of a
 * statement before `pg_stat_statements` sees it.
 */
function textOf({ name, sql }: Statement): string {
  return sql.text.trimStart().replace(/^\w+/, (verb) => `${verb} /* langchain-pgvector:${name} */`);
}

export function toRequest(statement: Statement): QueryRequest {
  return { text: statement.text ?? textOf(statement), values: statement.sql.values };
}

/** Where a value belongs that comes with the call. */
class Slot {
  constructor(readonly name: string) {}
}

/** A statement that is sent again and again with other values: its text is made once. */
export class StatementTemplate<V extends object> {
  readonly #made: Statement;
  readonly #text: string;

  /** @param build gets a stand-in for each value, which it may put into the statement and do nothing else with. */
  constructor(build: (slots: V) => Statement) {
    const slots = new Proxy({}, { get: (_, name) => new Slot(String(name)) });
    this.#made = build(slots as V);
    this.#text = textOf(this.#made);
  }

  statement(values: V): Statement {
    const { name, sql } = this.#made;
    const filled = sql.values.map((value) => (value instanceof Slot ? values[value.name as keyof V] : value));
    return { name, sql: new Sql(sql.strings, filled), text: this.#text };
  }
}
