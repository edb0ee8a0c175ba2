import type { Database } from "../../db/database.js";
import type { ReplicaStatus } from "../../db/replicas/replicas.js";
import type { CallCount, ChunkOutcome, EmbeddingInput, EmbeddingUse } from "../../telemetry/activity.js";
import { useOf, type PoolUse } from "../../telemetry/live-pools.js";

/** What one process has done with a store since it opened it, and how its connections are now. */
export interface ProcessStats {
  readonly at: Date;
  readonly store: string;
  /** Public calls by name, as their spans are called; failed ones among them. */
  readonly calls: readonly ({ readonly operation: string } & Readonly<CallCount>)[];
  /** The pools that count their connections, the primary's first. */
  readonly pools: readonly ({ readonly name: string } & PoolUse)[];
  /** Replicas as this process sees them: which take searches, and why the others do not. */
  readonly replicas: readonly ReplicaStatus[];
  /** Texts given to the embedders of the store. */
  readonly embedding: Readonly<Record<EmbeddingInput, Readonly<EmbeddingUse>>> & {
    /** Requests that were made again by bulk loads and backfills; clients of providers repeat more by themselves. */
    readonly retries: number;
    /** Requests that wait now, for their place within a rate limit or to be made again. */
    readonly waiting: number;
  };
  /** Chunks written; skipped as they had not changed or could not be stored; and deleted. */
  readonly chunks: Readonly<Record<ChunkOutcome, number>>;
  /** Transactions done again after a deadlock or a serialization failure, and reads after a lost connection. */
  readonly retries: number;
}

/** Reads what is counted in this process. No I/O. */
export function readProcess({ activity, replicas }: Database): ProcessStats {
  const { embedding } = activity;
  return {
    at: new Date(),
    store: activity.store ?? "",
    calls: [...activity.calls].map(([operation, count]) => ({ operation, ...count })),
    pools: activity.pools.flatMap(({ name, pool }) => {
      const use = useOf(pool);
      return use === undefined ? [] : [{ name, ...use }];
    }),
    replicas: replicas?.status() ?? [],
    embedding: {
      document: { ...embedding.document },
      query: { ...embedding.query },
      retries: activity.embeddingRetries,
      waiting: activity.embeddingWaiting,
    },
    chunks: { ...activity.chunks },
    retries: activity.retries,
  };
}
