import type pg from "pg";

/** What one step of a change of models has cost. */
export interface Step {
  readonly step: string;
  readonly seconds: number;
  readonly walMiB: number;
  /** Of all tables with their indexes, when it was over. */
  readonly diskMiB: number;
}

/** Runs steps one after the other and measures each. */
export class Measured {
  readonly steps: Step[] = [];

  constructor(private readonly pool: pg.Pool) {}

  async step<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = await this.#written();
    const began = performance.now();
    const result = await work();
    const seconds = (performance.now() - began) / 1_000;
    const walMiB = ((await this.#written()) - before) / 2 ** 20;
    this.steps.push({ step: name, seconds, walMiB, diskMiB: await this.disk() });
    return result;
  }

  sum(names: readonly string[]): { seconds: number; walMiB: number } {
    const found = this.steps.filter(({ step }) => names.includes(step));
    const add = (of: (step: Step) => number): number => found.reduce((sum, step) => sum + of(step), 0);
    return { seconds: add((step) => step.seconds), walMiB: add((step) => step.walMiB) };
  }

  async disk(): Promise<number> {
    const { rows } = await this.pool.query<{ bytes: number }>(
      "select sum(pg_total_relation_size(oid))::float8 as bytes from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace",
    );
    return rows[0]!.bytes / 2 ** 20;
  }

  async #written(): Promise<number> {
    const { rows } = await this.pool.query<{ bytes: number }>(
      "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as bytes",
    );
    return rows[0]!.bytes;
  }
}
