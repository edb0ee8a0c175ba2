import { setTimeout as sleep } from "node:timers/promises";
import { Document } from "@langchain/core/documents";
import type { PostgresVectorStore } from "../../src/index.js";

/** What one tenant's rows should be: content by id. */
export type Model = Map<string, string>;

/** What a tenant lived through while traffic ran. */
export interface Traffic {
  readonly model: Model;
  longestReadMs: number;
  longestWriteMs: number;
  reads: number;
  writes: number;
  /** Errors of calls, and reads that did not see what was there all the time. */
  readonly faults: string[];
}

/**
 * Adds, replaces and deletes documents of a tenant and reads a row that never changes, without pause, until `stop` fires.
 * The documents `fixed-*` are left alone; the traffic has its own ids, each worker its own.
 */
export function startTraffic(
  view: PostgresVectorStore,
  model: Model,
  options: { workers: number; stop: AbortSignal; pauseMs?: number },
): { traffic: Traffic; done: Promise<void> } {
  const traffic: Traffic = { model, longestReadMs: 0, longestWriteMs: 0, reads: 0, writes: 0, faults: [] };
  const timed = async (kind: "Read" | "Write", work: () => Promise<void>): Promise<void> => {
    const began = performance.now();
    await work().catch((error: unknown) => traffic.faults.push(`${kind}: ${String(error)}`));
    const key = `longest${kind}Ms` as const;
    traffic[key] = Math.max(traffic[key], performance.now() - began);
    traffic[kind === "Read" ? "reads" : "writes"] += 1;
  };
  const write = async (worker: number): Promise<void> => {
    for (let turn = 0; !options.stop.aborted; turn += 1) {
      const ids = [0, 1, 2].map((i) => `w${worker}-${(turn * 3 + i) % 60}`);
      await timed("Write", async () => {
        if (turn % 4 === 3) {
          await view.delete({ ids });
          for (const id of ids) model.delete(id);
        } else {
          const documents = ids.map((id) => new Document({ id, pageContent: `${id} in turn ${turn}`, metadata: {} }));
          await view.addDocuments(documents);
          for (const { id, pageContent } of documents) model.set(id!, pageContent);
        }
      });
      await sleep(options.pauseMs ?? 2);
    }
  };
  const read = async (): Promise<void> => {
    while (!options.stop.aborted) {
      await timed("Read", async () => {
        const [row] = await view.getByIds(["fixed-0"]);
        if (row === undefined) traffic.faults.push(`fixed-0 was not there after ${traffic.reads} reads`);
      });
      await timed("Read", async () => {
        const hits = await view.search("fixed 7", { k: 5 });
        if (hits.length !== 5) traffic.faults.push(`a search found ${hits.length} of 5`);
      });
      await sleep(options.pauseMs ?? 2);
    }
  };
  const workers = Array.from({ length: options.workers }, (_, worker) => write(worker));
  return { traffic, done: Promise.all([...workers, read()]).then(() => undefined) };
}

export function fixedDocuments(tenant: string, rows: number): Document[] {
  return Array.from(
    { length: rows },
    (_, i) => new Document({ id: `fixed-${i}`, pageContent: `fixed ${i} of ${tenant}`, metadata: { i } }),
  );
}

/** All rows of a tenant, by id. */
export async function readModel(view: PostgresVectorStore): Promise<Model> {
  const rows = await view.get({ limit: 1_000_000 });
  return new Map(rows.map(({ id, content }) => [id, content!]));
}
