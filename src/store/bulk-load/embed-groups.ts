import { orAbort } from "../../db/abort.js";
import { pause } from "../../db/pause.js";
import { failureOf, mayPass } from "../../embeddings/failure.js";
import { RateLimit } from "../../embeddings/rate-limit.js";
import type { VectorInput } from "../../db/sparse-vector.js";
import { ModelProviderError } from "../../errors.js";
import { encryptRows } from "../content-cipher.js";
import type { ScopedStore } from "../open.js";
import { checkMostElements } from "../indexed-elements.js";
import { checkVector } from "../vectors.js";
import { foreignVectors, type LiveVersion } from "../versions/store-models.js";
import { checkVectorCount } from "../versions/vectors-for.js";
import type { VersionEmbedder } from "../versions/version-embedder.js";
import type { BulkLoadPlan } from "./options.js";
import type { Group, SourceRow } from "./read-groups.js";
import { isRowError, type Rejects } from "./rejects.js";

/** A row that only has to be written. */
export interface ReadyRow extends SourceRow {
  /** Of each version that the load writes, where there is one. */
  readonly vectors: readonly (VectorInput | undefined)[];
}

export interface ReadyGroup extends Group {
  readonly rows: readonly ReadyRow[];
}

/**
 * Gives every row its vectors, checks them, and encrypts the content where there is a cipher: several groups at a time, in
 * the order of the source. No database connection is held meanwhile.
 */
export class GroupEmbedder {
  readonly #limit: RateLimit | undefined;

  constructor(
    private readonly store: ScopedStore,
    private readonly versions: readonly LiveVersion[],
    /** Values other than zero that vectors of each version may have. */
    private readonly limits: readonly number[],
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
    const found = this.versions.map(() => new Map<number, VectorInput>());
    for (const request of requestsFor(this.versions)) await this.#fill(request, rows, found);
    const ready: ReadyRow[] = [];
    for (const row of rows) {
      const needed = this.#needed(row);
      const vectors = this.versions.map((version, index) => {
        const vector = found[index]!.get(row.row);
        return vector !== undefined && this.#passes(row, vector, version, version === needed) ? vector : undefined;
      });
      if (vectors[this.versions.indexOf(needed)] !== undefined) ready.push({ ...row, vectors });
    }
    return { rows: await this.#encrypted(ready), end };
  }

  /** The version without whose vector a row is not stored; the others may come later. */
  #needed({ vector }: SourceRow): LiveVersion {
    const { models, options } = this.store;
    const needed = vector === undefined ? models.reading : models.readingVectors;
    const found = this.versions.find(({ version }) => version === needed?.version);
    if (found === undefined) throw foreignVectors(models, options.layout.table);
    return found;
  }

  /** Takes the vectors that came with rows, where they are of the embedder, and asks it for the others. */
  async #fill(
    { embedder, indexes }: EmbedRequest,
    rows: readonly SourceRow[],
    found: readonly Map<number, VectorInput>[],
  ): Promise<void> {
    const fits = (row: number, vector: VectorInput): void => {
      for (const index of indexes) {
        found[index]!.set(row, this.versions[index]!.embedder?.fit(vector) ?? vector);
      }
    };
    const own = embedder === undefined || embedder.main;
    for (const row of own ? rows : []) if (row.vector !== undefined) fits(row.row, row.vector);
    if (embedder === undefined) return;
    const bare = rows.filter((row) => !own || row.vector === undefined);
    if (bare.length === 0) return;
    const needed = bare.some((row) => indexes.includes(this.versions.indexOf(this.#needed(row))));
    const embedded = new Map<number, ArrayLike<number>>();
    try {
      await this.#embed(embedder, bare, embedded);
    } catch (error) {
      this.signal?.throwIfAborted();
      if (needed) throw error;
      this.store.options.logger.warn(
        `langchain-pgvector: rows are loaded without the vectors of one model version, for its backfill: ${String(error)}`,
      );
    }
    for (const [row, vector] of embedded) fits(row, vector);
  }

  /** A request that the server finds fault with is divided until the text at fault stands alone. */
  async #embed(
    embedder: VersionEmbedder,
    rows: readonly SourceRow[],
    into: Map<number, ArrayLike<number>>,
  ): Promise<void> {
    try {
      const vectors = await this.#request(
        embedder,
        rows.map((row) => embedder.textOf(row.content)),
      );
      rows.forEach((row, index) => into.set(row.row, vectors[index]!));
    } catch (error) {
      if (!this.rejects.skips || !isAboutTexts(error)) throw error;
      if (rows.length === 1) {
        this.rejects.reject(rows[0]!.row, rows[0]!.id, error as Error);
        return;
      }
      const middle = rows.length >>> 1;
      await this.#embed(embedder, rows.slice(0, middle), into);
      await this.#embed(embedder, rows.slice(middle), into);
    }
  }

  async #request(embedder: VersionEmbedder, texts: string[]): Promise<number[][]> {
    for (let attempt = 0; ; attempt += 1) {
      await embedder.source.hold(this.#limit?.take(this.signal));
      this.signal?.throwIfAborted();
      try {
        const vectors = await orAbort(embedder.source.embedDocuments(texts), this.signal);
        checkVectorCount(vectors.length, texts.length);
        return vectors;
      } catch (error) {
        this.signal?.throwIfAborted();
        if (attempt >= this.plan.retries || !mayPass(error)) throw error;
        const backoff = 500 * 2 ** attempt * (0.5 + Math.random());
        const wait = Math.min(60_000, failureOf(error).retryAfterMs ?? backoff);
        await embedder.source.retry(pause(wait, this.signal));
      }
    }
  }

  #passes(row: SourceRow, vector: VectorInput, version: LiveVersion, needed: boolean): boolean {
    const { model, options } = this.store;
    const metric = version.version === model.version ? options.metric : version.metric;
    try {
      checkVector(vector, version, metric, () => "Its vector");
      checkMostElements(vector, this.limits[this.versions.indexOf(version)]!, () => "Its vector");
      return true;
    } catch (error) {
      if (!isRowError(error)) throw error;
      if (needed) this.rejects.reject(row.row, row.id, error);
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

/** Versions whose vectors come from one request: of one embedder, with one prefix. */
interface EmbedRequest {
  readonly embedder: VersionEmbedder | undefined;
  readonly indexes: readonly number[];
}

function requestsFor(versions: readonly LiveVersion[]): EmbedRequest[] {
  const requests: { embedder: VersionEmbedder | undefined; indexes: number[] }[] = [];
  versions.forEach(({ embedder }, index) => {
    const same = requests.find(
      (request) =>
        request.embedder?.source === embedder?.source && request.embedder?.textOf("") === embedder?.textOf(""),
    );
    if (same === undefined) requests.push({ embedder, indexes: [index] });
    else same.indexes.push(index);
  });
  return requests;
}

/** Whether the server refused what it was given, and not who asked or how often. */
function isAboutTexts(error: unknown): boolean {
  const status = error instanceof ModelProviderError ? error.status : failureOf(error).status;
  return status === 400 || status === 413 || status === 422;
}
