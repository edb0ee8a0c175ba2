/** What makes a text recognisable as one tenant's: it stands in the content and the metadata of all of its rows. */
const MARKER = /LEAKMARK[0-9a-f]{12}/g;
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const MAX_DEPTH = 8;

/** Dimensions of the suite's vectors; the first component is the {@link vectorCode} of the tenant. */
export const DIMENSIONS = 16;

export function newMarker(hex: string): string {
  return `LEAKMARK${hex}`;
}

/** The first component of every vector of the tenant with this number, exact in float32. */
export function vectorCode(index: number): number {
  return (index + 1) / 2048;
}

/** What belongs to whom: markers, vectors and uuids of collections. */
export class Ownership {
  readonly #owners = new Map<string, number>();

  claim(secret: string, tenant: number): void {
    this.#owners.set(secret, tenant);
  }

  ownerOf(secret: string): number | undefined {
    return this.#owners.get(secret);
  }

  /** Secrets in a text that are known and not the tenant's; `undefined` for a tenant that owns nothing. */
  foreignIn(text: string, tenant: number | undefined): string[] {
    const found = [...text.matchAll(MARKER), ...text.matchAll(UUID)].map(([secret]) => secret);
    return found.filter((secret) => this.#owners.has(secret) && this.#owners.get(secret) !== tenant);
  }
}

/** Rows of a result that hold something of another tenant: elements of an array or of `rows`, else the whole. */
export function foreignRows(result: unknown, tenant: number | undefined, ownership: Ownership): string[] {
  const isReply = typeof result === "object" && result !== null && "rows" in result && Array.isArray(result.rows);
  const rows: unknown[] = isReply ? (result.rows as unknown[]) : Array.isArray(result) ? result : [result];
  return rows.flatMap((row) => {
    const secret = foreignSecret(row, tenant, ownership, 0);
    return secret === undefined ? [] : [secret];
  });
}

function foreignSecret(
  value: unknown,
  tenant: number | undefined,
  ownership: Ownership,
  depth: number,
): string | undefined {
  if (typeof value === "string") return ownership.foreignIn(value, tenant)[0];
  if (typeof value !== "object" || value === null || depth > MAX_DEPTH) return undefined;
  if (Buffer.isBuffer(value)) return ownership.foreignIn(value.toString("latin1"), tenant)[0];
  if (Array.isArray(value) && value.length === DIMENSIONS && value.every((part) => typeof part === "number")) {
    return tenant !== undefined && value[0] === vectorCode(tenant) ? undefined : `vector of ${String(value[0])}`;
  }
  for (const [key, part] of Object.entries(value)) {
    const secret = ownership.foreignIn(key, tenant)[0] ?? foreignSecret(part, tenant, ownership, depth + 1);
    if (secret !== undefined) return secret;
  }
  return undefined;
}

/** Every text on an error: message, stack, the driver's `detail`, `where` and the like, and those of its causes. */
export function textsOf(error: unknown, seen = new Set<unknown>()): string[] {
  if (typeof error === "string") return [error];
  if (typeof error !== "object" || error === null || seen.has(error) || seen.size > 100) return [];
  seen.add(error);
  return Object.getOwnPropertyNames(error).flatMap((name) =>
    textsOf((error as unknown as Record<string, unknown>)[name], seen),
  );
}
