import sql from "sql-template-tag";
import { TenantIsolationError } from "../../errors.js";
import { findPlaces } from "../../store/lexical/build.js";
import type { LexicalPlace } from "../../store/lexical/compact.js";
import type { OpenStore } from "../../store/open.js";
import { countText, finding, percent, type DoctorFinding } from "../../store/finding.js";
import type { DoctorLimits } from "./limits.js";

/** More collections than this are not looked into one by one. */
const MOST_PLACES = 1_000;

/** Collections whose lexical index has many dead chunks. `undefined` when this role may not look into all tenants'. */
export async function deadPlaces(store: OpenStore, limits: DoctorLimits): Promise<DeadPlace[] | undefined> {
  const { lexical, database } = store;
  if (lexical === undefined || lexical.settings.building) return [];
  const places = await findPlaces(store).catch((error: unknown) => {
    if (error instanceof TenantIsolationError) return undefined;
    throw error;
  });
  if (places === undefined || places.length > MOST_PLACES) return undefined;
  const dead: DeadPlace[] = [];
  for (const place of places) {
    const { rows } = await database.execute(
      {
        name: "doctor-lexical",
        sql: sql`
          select coalesce(sum(chunks), 0)::float8 as chunks, coalesce(sum(dead), 0)::float8 as dead from ${lexical.segments}
          where tenant_id = ${place.tenant}::text and collection = ${place.collection}::text`,
      },
      { settings: place.settings },
    );
    const counted = rows[0] as { chunks: number; dead: number };
    if (counted.dead >= limits.lexicalDead && counted.dead >= limits.deadShare * counted.chunks) {
      dead.push({ place, ...counted });
    }
  }
  return dead;
}

export interface DeadPlace {
  readonly place: LexicalPlace;
  readonly chunks: number;
  readonly dead: number;
}

export function deadPlacesFinding(dead: readonly DeadPlace[], table: string): DoctorFinding[] {
  if (dead.length === 0) return [];
  const chunks = dead.reduce((sum, place) => sum + place.chunks, 0);
  const gone = dead.reduce((sum, place) => sum + place.dead, 0);
  return [
    {
      ...finding(
        "lexical-index-dead",
        "warning",
        table,
        `The lexical index of ${table} has ${countText(gone)} dead chunks (${percent(gone / Math.max(1, chunks))}) in ${dead.length} ` +
          `${dead.length === 1 ? "collection" : "collections"}: they count in the weights of words, and searches read them.`,
        `npx langchain-pgvector doctor --fix --table ${table}`,
      ),
      fixable: true,
    },
  ];
}
