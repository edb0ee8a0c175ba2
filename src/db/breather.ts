/** A socket's buffer holds about a millisecond of what a server takes in; whoever computes for longer leaves it idle. */
const LONGEST_MS = 0.4;

/** Lets I/O have its turn in the middle of long computations. */
export class Breather {
  #since = performance.now();

  get due(): boolean {
    return performance.now() - this.#since > LONGEST_MS;
  }

  async breathe(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#since = performance.now();
  }
}
