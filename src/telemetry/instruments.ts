import {
  metrics,
  type Attributes,
  type BatchObservableResult,
  type Counter,
  type Histogram,
  type MeterProvider,
  type UpDownCounter,
} from "@opentelemetry/api";
import { livePools } from "./live-pools.js";

/** Under which instruments and spans are found. */
export const SCOPE = "langchain-pgvector";

/** Names of the semantic conventions for databases that are used in more than one place. */
export const COLLECTION_NAME = "db.collection.name";

/** What the library measures. Without an SDK all of them are the API's own, which do nothing. */
export interface Instruments {
  readonly duration: Histogram;
  readonly embeddingRequests: Counter;
  readonly embeddingTexts: Counter;
  readonly embeddingCharacters: Counter;
  readonly embeddingFailures: Counter;
  readonly embeddingRetries: Counter;
  readonly embeddingWaiting: UpDownCounter;
  readonly chunks: Counter;
  readonly retries: Counter;
}

let provider: MeterProvider | undefined;
let made: Instruments | undefined;

/** The instruments of whichever meter provider is registered now: unlike tracers, meters do not follow one that comes later. */
export function instruments(): Instruments {
  const present = metrics.getMeterProvider();
  if (made === undefined || present !== provider) {
    made = make(present);
    provider = present;
  }
  return made;
}

function make(present: MeterProvider): Instruments {
  const meter = present.getMeter(SCOPE);
  const counter = (name: string, unit: string, description: string): Counter =>
    meter.createCounter(`langchain_pgvector.${name}`, { unit, description });
  const connections = meter.createObservableUpDownCounter("db.client.connection.count", {
    unit: "{connection}",
    description: "Connections of a pool, by state.",
  });
  const most = meter.createObservableUpDownCounter("db.client.connection.max", {
    unit: "{connection}",
    description: "Most connections that a pool opens.",
  });
  const pending = meter.createObservableUpDownCounter("db.client.connection.pending_requests", {
    unit: "{request}",
    description: "Calls that wait for a connection of a pool.",
  });
  meter.addBatchObservableCallback(
    (result: BatchObservableResult) => {
      for (const { store, name, use } of livePools()) {
        const of: Attributes = { "db.client.connection.pool.name": store === undefined ? name : `${store} ${name}` };
        result.observe(connections, use.used, { ...of, "db.client.connection.state": "used" });
        result.observe(connections, use.idle, { ...of, "db.client.connection.state": "idle" });
        result.observe(most, use.max, of);
        result.observe(pending, use.waiting, of);
      }
    },
    [connections, most, pending],
  );
  return {
    duration: meter.createHistogram("db.client.operation.duration", {
      unit: "s",
      description: "Duration of calls of the store.",
      advice: { explicitBucketBoundaries: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10] },
    }),
    embeddingRequests: counter("embedding.requests", "{request}", "Calls of the embedder."),
    embeddingTexts: counter("embedding.texts", "{text}", "Texts given to the embedder."),
    embeddingCharacters: counter("embedding.characters", "{character}", "Characters of those texts."),
    embeddingFailures: counter("embedding.failures", "{request}", "Calls of the embedder that failed."),
    embeddingRetries: counter("embedding.retries", "{request}", "Calls of the embedder that were made again."),
    embeddingWaiting: meter.createUpDownCounter("langchain_pgvector.embedding.waiting", {
      unit: "{request}",
      description: "Calls of the embedder held back by a rate limit or after a failure.",
    }),
    chunks: counter("ingest.chunks", "{chunk}", "Chunks written, skipped and deleted."),
    retries: counter("retries", "{retry}", "Transactions and reads that were done again."),
  };
}
