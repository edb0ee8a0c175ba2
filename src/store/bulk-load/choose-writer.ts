import sql from "sql-template-tag";
import type { ScopedStore } from "../open.js";
import type { LiveVersion } from "../versions/store-models.js";
import { arrayWriter, directWriter, stagingWriter, type RowWriter } from "./write-rows.js";

/**
 * The fastest way of writing that the driver, the role and row-level security allow. Postgres refuses COPY into a table
 * under row-level security; a temporary table is under none, but the right to make one may have been revoked.
 */
export async function chooseWriter(
  store: ScopedStore,
  versions: readonly LiveVersion[],
  signal: AbortSignal | undefined,
): Promise<RowWriter> {
  const { canCopy, mayStage } = await store.database.transaction(
    store.settings,
    async (session) => {
      if (session.copyIn === undefined) return { canCopy: false, mayStage: false };
      const { rows } = await session.execute({
        name: "may-stage",
        sql: sql`select has_database_privilege(current_database(), 'temporary') as allowed`,
      });
      return { canCopy: true, mayStage: rows[0]!["allowed"] as boolean };
    },
    signal,
  );
  if (!mayStage) return arrayWriter(store, versions);
  return canCopy && store.options.layout.tenancy === "off"
    ? directWriter(store, versions)
    : stagingWriter(store, versions);
}
