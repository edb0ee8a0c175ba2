import { MAX_TENANT_BYTES } from "../../store/tenant.js";
import { newMarker } from "./markers.js";
import type { Random } from "../random.js";

/** What one row of a tenant should hold. */
export interface LeakRow {
  readonly content: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** A tenant of the suite, and the model of all that it should have stored. */
export interface LeakTenant {
  readonly id: string;
  readonly index: number;
  readonly marker: string;
  /** By {@link rowKey}. */
  readonly rows: Map<string, LeakRow>;
}

/** The two collections that every tenant has rows in, under the same ids. */
export const COLLECTIONS = ["alpha", "beta"] as const;
export type Collection = (typeof COLLECTIONS)[number];

/** Ids that all tenants use, so that a statement that forgets the tenant hits somebody else's row. */
export const SHARED_IDS = Array.from({ length: 12 }, (_, index) => `doc-${index}`);

/** Ids that are valid, and that code which builds SQL, patterns or paths from text would trip over. */
const HOSTILE_IDS = [
  "' or '1'='1",
  "'; drop table chunks; --",
  "%",
  "_",
  "*",
  "null",
  "default",
  "undefined",
  "0",
  "-1",
  "1 ",
  "1",
  " 1",
  '"quoted"',
  "$1",
  "\\",
  "tenant\nwith\nlines",
  "TENANT-30",
  "tenant-30 ",
  "tenant‐30",
  "é",
  "e\u0301",
  "😀",
  "{a,b}",
  "../tenant-30",
  "x".repeat(MAX_TENANT_BYTES),
];

export function createTenants(count: number, random: Random): LeakTenant[] {
  return Array.from({ length: count }, (_, index) => ({
    id: HOSTILE_IDS[index] ?? (index % 5 === 0 ? String(1_000 + index) : `tenant-${index}`),
    index,
    marker: newMarker(random.hex(12)),
    rows: new Map<string, LeakRow>(),
  }));
}

export function rowKey(collection: string, id: string): string {
  return `${collection}\0${id}`;
}

/** A row as its tenant would write it: the marker in content and metadata, the owner's public id beside it. */
export function rowOf(tenant: LeakTenant, id: string, random: Random): LeakRow {
  const version = random.below(1_000_000);
  return {
    content: `${tenant.marker} tenant#${tenant.index} note ${id} ${version} ${tenant.marker}`,
    metadata: { marker: tenant.marker, owner: tenant.id, n: version % 10, nested: { text: tenant.marker } },
  };
}
