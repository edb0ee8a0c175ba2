/** One tenant's ids. Whoever works on one takes it out, so that no two calls write the same row. */
class Ids {
  readonly #free: string[] = [];
  /** Of all documents that are there, those that are being worked on included. */
  count = 0;

  constructor(readonly wanted: number) {}

  take(random: () => number, count: number): string[] {
    const taken: string[] = [];
    while (taken.length < count && this.#free.length > 0) {
      const at = Math.floor(random() * this.#free.length);
      taken.push(this.#free[at]!);
      this.#free[at] = this.#free.at(-1)!;
      this.#free.pop();
    }
    return taken;
  }

  giveBack(ids: readonly string[]): void {
    this.#free.push(...ids);
  }
}

/** What should be in the store: how many documents each tenant has, kept near a size that it is to stay at. */
export class Population {
  readonly #tenants: ReadonlyMap<string, Ids>;
  readonly #cumulated: readonly (readonly [tenant: string, upTo: number])[];
  readonly #most: number;

  constructor(
    sizes: Readonly<Record<string, number>>,
    private readonly random: () => number,
  ) {
    this.#tenants = new Map(Object.entries(sizes).map(([tenant, wanted]) => [tenant, new Ids(wanted)]));
    let sum = 0;
    // Smaller tenants are asked more often than their share of the rows.
    this.#cumulated = Object.entries(sizes).map(([tenant, wanted]) => [tenant, (sum += Math.sqrt(wanted))]);
    this.#most = sum;
  }

  get tenants(): readonly string[] {
    return [...this.#tenants.keys()];
  }

  anyTenant(random: () => number): string {
    const place = random() * this.#most;
    return this.#cumulated.find(([, upTo]) => place < upTo)![0];
  }

  rows(tenant: string): number {
    return this.#of(tenant).count;
  }

  wanted(tenant: string): number {
    return this.#of(tenant).wanted;
  }

  /** Ids that were never there, in no order, as the store's own are; {@link added} says when they are there. */
  newIds(count: number): string[] {
    const digits = (): string =>
      Math.floor(this.random() * 2 ** 32)
        .toString(16)
        .padStart(8, "0");
    return Array.from({ length: count }, () => `${digits()}-${digits()}-${digits()}`);
  }

  added(tenant: string, ids: readonly string[]): void {
    this.#of(tenant).count += ids.length;
    this.#of(tenant).giveBack(ids);
  }

  /** Up to so many ids that are there and that nobody works on; {@link giveBack} or {@link deleted} ends the work. */
  take(tenant: string, random: () => number, count: number): string[] {
    return this.#of(tenant).take(random, count);
  }

  giveBack(tenant: string, ids: readonly string[]): void {
    this.#of(tenant).giveBack(ids);
  }

  deleted(tenant: string, ids: readonly string[]): void {
    this.#of(tenant).count -= ids.length;
  }

  #of(tenant: string): Ids {
    return this.#tenants.get(tenant)!;
  }
}
