import {
  context,
  createContextKey,
  isSpanContextValid,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Span,
} from "@opentelemetry/api";
import { DatabaseError } from "../errors.js";
import type { Activity } from "./activity.js";
import { COLLECTION_NAME, instruments, SCOPE } from "./instruments.js";

/** On whose behalf calls are made. */
export interface Caller {
  readonly activity: Activity;
  /** What texts are searched by when a call does not say. */
  readonly searchType: string;
  /** The tenant of the next call, where spans are to name it; may throw. */
  readonly tenant: (() => string) | undefined;
}

/** What only those who do the work know of a call. */
export interface CallNotes {
  /** How vectors were compared; `both` when the index did not find enough. */
  strategy?: "index" | "exact" | "both";
  retries: number;
}

const NOTES = createContextKey("langchain-pgvector call");

/** The notes of the call that is under way; `undefined` where its span is not recorded. */
export function callNotes(): CallNotes | undefined {
  return context.active().getValue(NOTES) as CallNotes | undefined;
}

/** One public call of the store: its span, and the measurement of its time. */
export class Call {
  readonly context: Context;
  readonly #span: Span;
  readonly #notes: CallNotes = { retries: 0 };
  readonly #began = performance.now();
  readonly #of: Attributes;

  /** @param describe attributes of the call; called only when a span is recorded. */
  constructor(
    private readonly caller: Caller,
    private readonly operation: string,
    describe?: (caller: Caller) => Attributes,
  ) {
    const { store } = caller.activity;
    this.#of = { "db.system.name": "postgresql", "db.operation.name": operation, [COLLECTION_NAME]: store };
    this.#span = trace.getTracer(SCOPE).startSpan(store === undefined ? operation : `${operation} ${store}`, {
      kind: SpanKind.CLIENT,
      attributes: this.#of,
    });
    const active = context.active();
    // Without an SDK there is no span to pass on, and nobody to take notes for.
    this.context = isSpanContextValid(this.#span.spanContext()) ? trace.setSpan(active, this.#span) : active;
    if (!this.#span.isRecording()) return;
    this.context = this.context.setValue(NOTES, this.#notes);
    const attributes = orNothing(() => describe?.(caller));
    if (attributes !== undefined) this.#span.setAttributes(attributes);
    const tenant = orNothing(() => caller.tenant?.());
    if (tenant !== undefined) this.#span.setAttribute("langchain_pgvector.tenant.id", tenant);
  }

  /** @param rows how many came back, where rows do. */
  end(rows?: number): void {
    if (this.#span.isRecording()) {
      const { strategy, retries } = this.#notes;
      if (rows !== undefined) this.#span.setAttribute("db.response.returned_rows", rows);
      if (strategy !== undefined) this.#span.setAttribute("langchain_pgvector.search.strategy", strategy);
      if (retries > 0) this.#span.setAttribute("langchain_pgvector.retries", retries);
    }
    this.#finish(undefined);
  }

  /** Says which class of error it was and its SQLSTATE, never the message: that may quote what is stored. */
  fail(error: unknown): void {
    const type = errorType(error);
    if (this.#span.isRecording()) {
      this.#span.setStatus({ code: SpanStatusCode.ERROR });
      this.#span.setAttribute("error.type", type);
      if (error instanceof DatabaseError && error.sqlstate !== undefined) {
        this.#span.setAttribute("db.response.status_code", error.sqlstate);
      }
      if (this.#notes.retries > 0) this.#span.setAttribute("langchain_pgvector.retries", this.#notes.retries);
    }
    this.#finish(type);
  }

  #finish(type: string | undefined): void {
    const seconds = (performance.now() - this.#began) / 1_000;
    this.#span.end();
    this.caller.activity.called(this.operation, seconds, type !== undefined);
    const of = type === undefined ? this.#of : { ...this.#of, "error.type": type };
    instruments().duration.record(seconds, of, this.context);
  }
}

/** A call with wrong arguments or without its tenant fails by itself, with a better error. */
function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The name of its class: `name` can be set to anything. */
function errorType(error: unknown): string {
  if (error instanceof DOMException) return error.name;
  return error instanceof Error ? error.constructor.name || "Error" : "_OTHER";
}
