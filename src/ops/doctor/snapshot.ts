import type { Session } from "../../db/database.js";
import { quoteQualified } from "../../db/identifiers.js";
import type { SchemaState } from "../../schema/inspect.js";
import { loadsTable, TENANTS_TABLE, type Layout, type ModelVersion } from "../../schema/layout.js";
import { lexicalTables } from "../../schema/lexical.js";
import { findTenantRelations } from "../../schema/tenant-relations.js";
import { readIndexesStatement, type IndexFacts } from "../../store/explain/read-indexes.js";
import type { IndexNeeds } from "../../store/explain/index-faults.js";
import { readActivity, type Activity } from "./read-activity.js";
import { readServer, type ServerFacts } from "./read-server.js";
import { readTables, type TableFacts } from "./read-tables.js";
import type { DoctorLimits } from "./limits.js";

/** What the checks look at: read once, in a few statements, without a lock that could hold anyone up. */
export interface Snapshot {
  readonly layout: Layout;
  readonly state: SchemaState;
  readonly limits: DoctorLimits;
  readonly server: ServerFacts;
  readonly tables: readonly TableFacts[];
  readonly indexes: readonly IndexFacts[];
  readonly activity: Activity;
}

/** A snapshot of a store that is there. */
export interface StoreSnapshot extends Snapshot {
  readonly model: ModelVersion;
  readonly needs: IndexNeeds;
  /** Quoted and qualified. */
  readonly table: string;
}

export async function takeSnapshot(
  session: Session,
  layout: Layout,
  state: SchemaState,
  limits: DoctorLimits,
): Promise<Snapshot> {
  const secured = await findTenantRelations(session, state.schema, layout.table);
  const names = new Set([
    layout.table,
    ...(layout.collectionsTable === undefined ? [] : [layout.collectionsTable]),
    loadsTable(layout),
    ...(state.lexical === undefined ? [] : lexicalTables(layout.table)),
    ...secured.map(({ name }) => name),
    TENANTS_TABLE,
  ]);
  const tables = [...names].map((name) => quoteQualified(state.schema, name));
  const indexes = (await session.execute(readIndexesStatement(tables))).rows as unknown as IndexFacts[];
  return {
    layout,
    state,
    limits,
    server: await readServer(session),
    tables: await readTables(session, tables, layout.appRole),
    indexes,
    activity: await readActivity(session),
  };
}

/** The snapshot with what only a store has; `undefined` while there is none. */
export function storeOf(snapshot: Snapshot): StoreSnapshot | undefined {
  const { state, layout } = snapshot;
  if (!state.chunks.exists || state.activeModel === undefined || state.server.vector === undefined) return undefined;
  const model = state.activeModel;
  return {
    ...snapshot,
    model,
    needs: { model, metric: model.metric, extensionSchema: state.server.vector.schema },
    table: quoteQualified(state.schema, layout.table),
  };
}
