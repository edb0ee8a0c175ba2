import { createHash } from "node:crypto";
import { sqlstateOf } from "./sqlstate.js";

/** Each takes memory in every connection, for as long as it lives; what is not among them is parsed each time. */
const MAX_STATEMENTS = 200;

/** The server no longer knows the statement, or knows another one by its name: a pooler changes servers underneath. */
const LOST: ReadonlySet<string> = new Set(["26000", "42P05"]);
/** The table has changed since the statement was prepared. */
const OUTDATED = "0A000";

/**
 * Names for statements that are worth preparing. A name is a hash of the text, so that it means the same in every
 * connection, whoever prepared it.
 */
export class PreparedStatements {
  readonly #names = new Map<string, string>();
  #usable = true;

  /** `undefined`: send it without a name. */
  nameOf(text: string): string | undefined {
    if (!this.#usable) return undefined;
    const known = this.#names.get(text);
    if (known !== undefined || this.#names.size === MAX_STATEMENTS) return known;
    const name = `langchain_pgvector_${createHash("sha256").update(text).digest("hex").slice(0, 24)}`;
    this.#names.set(text, name);
    return name;
  }

  /** Whether the statement did not run and will without a name. Stops preparing when the connections do not keep names. */
  failedBy(error: unknown): boolean {
    const sqlstate = sqlstateOf(error);
    if (sqlstate === undefined) return false;
    if (LOST.has(sqlstate)) this.#usable = false;
    return LOST.has(sqlstate) || sqlstate === OUTDATED;
  }
}
