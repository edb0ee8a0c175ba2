import { IngestError, LangChainPgvectorError } from "../../errors.js";
import type { RejectedRow } from "./options.js";

const MAX_LISTED = 1_000;

/** What happens to rows that cannot be stored, by the policy of the load. */
export class Rejects {
  readonly listed: RejectedRow[] = [];
  count = 0;

  constructor(
    private readonly policy: "fail" | "skip",
    private readonly onReject: ((rejected: RejectedRow) => void) | undefined,
  ) {}

  /** Whether rows are left out; otherwise the first one ends the load. */
  get skips(): boolean {
    return this.policy === "skip";
  }

  /** @throws IngestError with the number of the row, unless the load goes on without it. */
  reject(row: number, id: string | undefined, cause: Error): void {
    if (this.policy === "fail") throw failure(row, id, cause);
    this.count += 1;
    const rejected = { row, id, cause };
    if (this.listed.length < MAX_LISTED) this.listed.push(rejected);
    this.onReject?.(rejected);
  }
}

function failure(row: number, id: string | undefined, cause: Error): IngestError {
  const name = id === undefined ? "" : ` (id ${JSON.stringify(id)})`;
  return new IngestError(
    `Row ${row}${name} cannot be stored: ${cause.message} The batches before it are stored. Correct the row, or load ` +
      'with onError: "skip"; a `checkpoint` lets the next call go on behind them.',
    row,
    { cause },
  );
}

/** Whether the fault is the row's own, so that the others can do without it. */
export function isRowError(error: unknown): error is Error {
  return error instanceof LangChainPgvectorError && ROW_ERRORS.has(error.code);
}

const ROW_ERRORS: ReadonlySet<string> = new Set(["INGEST", "DIMENSION_MISMATCH", "INVALID_VECTOR", "CONTENT_CIPHER"]);
