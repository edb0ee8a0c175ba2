import { DatabaseError, LangChainPgvectorError } from "../errors.js";

export const SQLSTATE = {
  deadlock: "40P01",
  serializationFailure: "40001",
  lockNotAvailable: "55P03",
  insufficientPrivilege: "42501",
  undefinedTable: "42P01",
  undefinedColumn: "42703",
  queryCanceled: "57014",
  invalidRegularExpression: "2201B",
  uniqueViolation: "23505",
  diskFull: "53100",
  programLimitExceeded: "54000",
  /** Of ours, see `sql/registry.sql`: the models of the store have changed. */
  epochChanged: "LP001",
} as const;

/** A deadlock, a serialization failure, a server that shuts down or starts up, too many connections. */
const RETRYABLE: ReadonlySet<string> = new Set(["40P01", "40001", "57P01", "57P02", "57P03", "53300", "LP001"]);

/** The SQLSTATE of a driver's error, or `undefined` for anything else. */
export function sqlstateOf(error: unknown): string | undefined {
  if (error instanceof DatabaseError) return error.sqlstate;
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" && /^[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined;
}

/** Whether the connection is gone after this error: the driver lost it, or the server said that it closes it. */
export function losesConnection(error: unknown): boolean {
  if (!(error instanceof DatabaseError)) return false;
  return error.sqlstate === undefined || error.sqlstate.startsWith("08") || error.sqlstate.startsWith("57P");
}

/** Name in the `constraint` field of the error with which writes are turned away while a tenant's rows change partitions. */
export const ROWS_MOVING = "langchain_pgvector_move";

/** Whether a write was turned away because the tenant's rows change partitions: nothing was done, it may come again. */
export function isRowsMoving(error: unknown): boolean {
  if (!(error instanceof DatabaseError) || error.sqlstate !== SQLSTATE.serializationFailure) return false;
  return (error.cause as { constraint?: unknown } | undefined)?.constraint === ROWS_MOVING;
}

/** Wraps whatever a driver threw; an error of ours passes through unchanged. */
export function toDatabaseError(error: unknown, statement: string): Error {
  if (error instanceof LangChainPgvectorError) return error;
  const sqlstate = sqlstateOf(error);
  const reason = error instanceof Error ? error.message || error.name : String(error);
  const retryable = sqlstate === undefined || RETRYABLE.has(sqlstate) || sqlstate.startsWith("08");
  return new DatabaseError(`${statement}: ${reason}`, sqlstate, retryable, { cause: error });
}
