import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import { orAbort } from "../../db/abort.js";
import { pause } from "../../db/pause.js";
import { failureOf, mayPass } from "../../embeddings/failure.js";
import { RateLimit } from "../../embeddings/rate-limit.js";
import { ModelProviderError } from "../../errors.js";
import { checkVectorCount } from "../add-rows.js";
import { encryptRows } from "../content-cipher.js";
import type { ScopedStore } from "../open.js";
import { checkVector } from "../vectors.js";
import type { BulkLoadPlan } from "./options.js";
import type { Group, SourceRow } from "./read-groups.js";
import { isRowError, type Rejects } from "./rejects.js";

/** A row that only has to be written. */
export interface ReadyRow extends SourceRow {
  readonly vector: ArrayLike<number>;
}

export interface ReadyGroup extends Group {
  readonly rows: readonly ReadyRow[];
}

/**
 * Gives every row its vector, checks it, and encrypts the content where there is a cipher: several groups at a time, in
 * the order of the source. No database connection is held meanwhile.
 */
export class GroupEmbedder {
  readonly #limit: RateLimit | undefined;

  constructor(
    private readonly store: ScopedStore,
    private readonly embeddings: EmbeddingsInterface,
    private readonly plan: BulkLoadPlan["embed"],
    private readonly rejects: Rejects,
    private readonly signal: AbortSignal | undefined,
  ) {
    const { requestsPerMinute } = plan;
    this.#limit = requestsPerMinute === undefined ? undefined : new RateLimit(requestsPerMinute, 60_000);
  }

  async *run(groups: AsyncIterable<Group>): AsyncGenerator<ReadyGroup> {
    const running: Promise<ReadyGroup>[] = [];
    for await (const group of groups) {
      const ready = this.#prepare(group);
      // Looked at in its turn; until then a failure is nobody's.
      ready.catch(() => undefined);
      running.push(ready);
      if (running.length >= this.plan.concurrency) yield await running.shift()!;
    }
    for (const ready of running) yield await ready;
  }

  async #prepare({ rows, end }: Group): Promise<ReadyGroup> {
    const ready: ReadyRow[] = [];
    for (const row of await this.#withVectors(rows)) {
      if (this.#passes(row)) ready.push(row);
    }
    return { rows: await this.#encrypted(ready), end };
  }

  async #withVectors(rows: readonly SourceRow[]): Promise<readonly ReadyRow[]> {
    const bare = rows.filter((row) => row.vector === undefined);
    if (bare.length === 0) return rows as readonly ReadyRow[];
    const embedded = new Map<number, ArrayLike<number>>();
    await this.#embed(bare, embedded);
    return rows.flatMap((row) => {
      const vector = row.vector ?? embedded.get(row.row);
      return vector === undefined ? [] : [{ ...row, vector }];
    });
  }

  /** A request that the server finds fault with is divided until the text at fault stands alone. */
  async #embed(rows: readonly SourceRow[], into: Map<number, ArrayLike<number>>): Promise<void> {
    try {
      const vectors = await this.#request(rows.map((row) => row.content));
      rows.forEach((row, index) => into.set(row.row, vectors[index]!));
    } catch (error) {
      if (!this.rejects.skips || !isAboutTexts(error)) throw error;
      if (rows.length === 1) {
        this.rejects.reject(rows[0]!.row, rows[0]!.id, error as Error);
        return;
      }
      const middle = rows.length >>> 1;
      await this.#embed(rows.slice(0, middle), into);
      await this.#embed(rows.slice(middle), into);
    }
  }

  async #request(texts: string[]): Promise<number[][]> {
    for (let attempt = 0; ; attempt += 1) {
      await this.#limit?.take(this.signal);
      this.signal?.throwIfAborted();
      try {
        const vectors = await orAbort(this.embeddings.embedDocuments(texts), this.signal);
        checkVectorCount(vectors.length, texts.length);
        return vectors;
      } catch (error) {
        this.signal?.throwIfAborted();
        if (attempt >= this.plan.retries || !mayPass(error)) throw error;
        const backoff = 500 * 2 ** attempt * (0.5 + Math.random());
        await pause(Math.min(60_000, failureOf(error).retryAfterMs ?? backoff), this.signal);
      }
    }
  }

  #passes(row: ReadyRow): boolean {
    try {
      checkVector(row.vector, this.store.model, this.store.options.metric, () => "Its vector");
      return true;
    } catch (error) {
      if (!isRowError(error)) throw error;
      this.rejects.reject(row.row, row.id, error);
      return false;
    }
  }

  async #encrypted(rows: readonly ReadyRow[]): Promise<readonly ReadyRow[]> {
    const { contentCipher } = this.store.options;
    if (contentCipher === undefined) return rows;
    try {
      return await orAbort(encryptRows(contentCipher, this.store.tenant, rows), this.signal);
    } catch (error) {
      if (!this.rejects.skips || !isRowError(error)) throw error;
    }
    const encrypted: ReadyRow[] = [];
    for (const row of rows) {
      try {
        encrypted.push(...(await orAbort(encryptRows(contentCipher, this.store.tenant, [row]), this.signal)));
      } catch (error) {
        if (!isRowError(error)) throw error;
        this.rejects.reject(row.row, row.id, error);
      }
    }
    return encrypted;
  }
}

/** Whether the server refused what it was given, and not who asked or how often. */
function isAboutTexts(error: unknown): boolean {
  const status = error instanceof ModelProviderError ? error.status : failureOf(error).status;
  return status === 400 || status === 413 || status === 422;
}
