import { pause } from "../db/pause.js";

/** Lets at most `count` calls begin within any `periodMs`, first come, first served. */
export class RateLimit {
  readonly #begun: number[] = [];
  #turn: Promise<void> = Promise.resolve();

  constructor(
    private readonly count: number,
    private readonly periodMs: number,
  ) {}

  /** Waits for the next place. @throws the signal's reason as soon as it fires. */
  take(signal: AbortSignal | undefined): Promise<void> {
    const turn = this.#turn.then(() => this.#wait(signal));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    if (this.#begun.length >= this.count) {
      const free = this.#begun.shift()! + this.periodMs - performance.now();
      if (free > 0) await pause(free, signal);
    }
    this.#begun.push(performance.now());
  }
}
