import { createHash } from "node:crypto";
import type { QueryRequest } from "./pool.js";
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
  /** By text, and by what else its plan depends on. */
  readonly #names = new Map<string, Map<string, string>>();
  #count = 0;
  #usable = true;

  /**
   * A request under its name, if it is to have one.
   *
   * @param planner of a statement whose plan is kept: the settings by which it is made, so that those of other settings have
   * another name.
   */
  named(request: QueryRequest, planner = ""): QueryRequest {
    const name = this.#nameOf(request.text, planner);
    return name === undefined ? request : { text: request.text, values: request.values ?? [], name };
  }

  #nameOf(text: string, planner: string): string | undefined {
    if (!this.#usable) return undefined;
    const known = this.#names.get(text)?.get(planner);
    if (known !== undefined || this.#count === MAX_STATEMENTS) return known;
    const hash = createHash("sha256").update(`${planner}${text}`).digest("hex").slice(0, 24);
    const name = `langchain_pgvector_${hash}`;
    const names = this.#names.get(text) ?? new Map<string, string>();
    this.#names.set(text, names.set(planner, name));
    this.#count += 1;
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
