interface Entry<T> {
  readonly answer: Promise<T>;
  readonly expiresAt: number;
  /** The answer, once it is there. */
  value?: T;
}

/**
 * Answers to questions that are dear to ask and may be a little old: at most `maxEntries`, the least recently used go
 * first. Callers that ask at the same time share one answer; a failure is not kept.
 */
export class ExpiringCache<T> {
  readonly #entries = new Map<string, Entry<T>>();

  constructor(
    readonly maxEntries: number,
    readonly lifeMs: number,
  ) {}

  get(key: string, ask: () => Promise<T>): Promise<T> {
    const known = this.#use(key);
    if (known !== undefined) return known.answer;
    const entry: Entry<T> = { answer: ask(), expiresAt: Date.now() + this.lifeMs };
    entry.answer.then(
      (value) => (entry.value = value),
      () => {
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
      },
    );
    this.#entries.set(key, entry);
    if (this.#entries.size > this.maxEntries) this.#entries.delete(this.#entries.keys().next().value!);
    return entry.answer;
  }

  /** An answer that is there already, without a wait. */
  peek(key: string): T | undefined {
    return this.#use(key)?.value;
  }

  #use(key: string): Entry<T> | undefined {
    const known = this.#entries.get(key);
    if (known === undefined) return undefined;
    if (known.expiresAt <= Date.now()) {
      this.#entries.delete(key);
      return undefined;
    }
    // A map iterates in the order of insertion, so what is used goes to its end once room gets short.
    if (this.#entries.size > this.maxEntries / 2) {
      this.#entries.delete(key);
      this.#entries.set(key, known);
    }
    return known;
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  /** Deletes an answer that is older than this. */
  expire(key: string, ageMs: number): void {
    const known = this.#entries.get(key);
    if (known !== undefined && known.expiresAt - this.lifeMs + ageMs < Date.now()) this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }
}
