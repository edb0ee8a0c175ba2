import { spawn } from "node:child_process";
import { join } from "node:path";

/** Of both models, so that nothing but the checks keeps their vectors apart. */
export const ROLLING_DIMENSIONS = 32;

export interface RollingJob {
  readonly url: string;
  readonly tableName: string;
  readonly embedders: "old" | "both" | "next";
  readonly rows: number;
  readonly writes: boolean;
}

export interface RollingReport {
  readonly reads: number;
  readonly mixed: number;
  readonly failures: readonly string[];
  /** Ids of the writes that were acknowledged. */
  readonly written: readonly string[];
}

export const plantedText = (index: number): string =>
  `planted text ${index} of ${index * 7 + 3} words ${index * index}`;

/** A process that reads and writes until it is told to stop. */
export class RollingProcess {
  #reads = 0;
  #text = "";
  readonly #child;
  readonly #ended: Promise<void>;

  constructor(readonly job: RollingJob) {
    const file = join(import.meta.dirname, "rolling-child.ts");
    this.#child = spawn(process.execPath, ["--import", "tsx", file, JSON.stringify(job)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdout.on("data", (chunk: Buffer) => {
      this.#text += String(chunk);
      this.#reads += String(chunk).split("read\n").length - 1;
    });
    this.#ended = new Promise((resolve) => this.#child.once("close", () => resolve()));
  }

  /** Resolves after so many further searches. @throws Error when the process has ended instead. */
  async readsMore(count: number): Promise<void> {
    const wanted = this.#reads + count;
    while (this.#reads < wanted) {
      if (this.#child.exitCode !== null) {
        throw new Error(`The process with the ${this.job.embedders} embedder ended: ${this.#text.slice(-500)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async stop(): Promise<RollingReport> {
    this.#child.stdin.end();
    await this.#ended;
    return JSON.parse(this.#text.trimEnd().split("\n").at(-1)!) as RollingReport;
  }
}
