import { foreignRows, textsOf, type Ownership } from "./markers.js";

/** One thing that reached a tenant and should not have, or a call that did not end as it must. */
export interface LeakFinding {
  readonly kind: "leaked row" | "cross-tenant write" | "leaked error text" | "unexpected outcome";
  /** The operation, as in `byKind`. */
  readonly operation: string;
  /** Number of the operation, from 0; the same seed makes the same choices there. */
  readonly position: number;
  readonly detail: string;
}

const MAX_FINDINGS = 50;
/** So that one operation that leaks often does not hide the others. */
const MAX_FOR_OPERATION = 2;

/** Counts what the operations bring to light. */
export class Tally {
  leakedRows = 0;
  crossTenantWrites = 0;
  leakedErrorBytes = 0;
  unexpected = 0;
  readonly byKind: Record<string, { calls: number; refused: number }> = {};
  readonly findings: LeakFinding[] = [];

  constructor(readonly ownership: Ownership) {}

  /** Looks for other tenants' rows in what a call returned. */
  result(origin: Origin, tenant: number | undefined, value: unknown): void {
    this.#kind(origin).calls += 1;
    const foreign = foreignRows(value, tenant, this.ownership);
    if (foreign.length > 0) this.leak(origin, foreign.length, `${foreign.length} rows, such as one with ${foreign[0]}`);
  }

  /** Looks for other tenants' data in what a call threw. */
  error(origin: Origin, tenant: number | undefined, error: unknown): void {
    const kind = this.#kind(origin);
    kind.calls += 1;
    kind.refused += 1;
    for (const text of textsOf(error)) {
      for (const secret of this.ownership.foreignIn(text, tenant)) {
        this.leakedErrorBytes += Buffer.byteLength(secret);
        this.#note("leaked error text", origin, text.slice(0, 300));
      }
    }
  }

  leak(origin: Origin, rows: number, detail: string): void {
    this.leakedRows += rows;
    this.#note("leaked row", origin, detail);
  }

  crossWrite(origin: Origin, rows: number, detail: string): void {
    this.crossTenantWrites += rows;
    this.#note("cross-tenant write", origin, detail);
  }

  surprise(origin: Origin, detail: string): void {
    this.unexpected += 1;
    this.#note("unexpected outcome", origin, detail);
  }

  #kind(origin: Origin): { calls: number; refused: number } {
    return (this.byKind[origin.operation] ??= { calls: 0, refused: 0 });
  }

  #note(kind: LeakFinding["kind"], origin: Origin, detail: string): void {
    if (this.findings.length === MAX_FINDINGS) return;
    const alike = this.findings.filter((known) => known.kind === kind && known.operation === origin.operation);
    if (alike.length < MAX_FOR_OPERATION) this.findings.push({ kind, ...origin, detail });
  }
}

export interface Origin {
  readonly operation: string;
  readonly position: number;
}
