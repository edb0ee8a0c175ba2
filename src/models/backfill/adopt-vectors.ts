import { DEFAULT_TENANT } from "../../store/options.js";
import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import { identifier } from "../../db/identifiers.js";
import { IngestError } from "../../errors.js";
import type { OpenStore, ScopedStore } from "../../store/open.js";
import { toTenantId } from "../../store/tenant.js";
import type { LiveVersion } from "../../store/versions/store-models.js";
import { checkVector } from "../../store/vectors.js";
import { administratorOf } from "../tenant-scopes.js";
import type { Report } from "./backfill.js";
import type { AdoptedVector, BackfillPlan } from "./options.js";
import { strideBatches } from "./stride.js";
import { fillRows, type FilledRow } from "./write-batch.js";

/** Vectors that are looked up at a time. */
const PAGE = 2_000;

/**
 * Takes over vectors that are there already, for rows that wait for theirs. They are taken to be of the texts that the rows
 * have now.
 *
 * @throws DimensionMismatchError, InvalidVectorError, IngestError for one that cannot be stored; those before it are.
 */
export async function adoptVectors(
  store: OpenStore,
  version: LiveVersion,
  source: AsyncIterable<AdoptedVector> | Iterable<AdoptedVector>,
  plan: BackfillPlan,
  report: Report,
  signal: AbortSignal | undefined,
): Promise<void> {
  let page: AdoptedVector[] = [];
  let position = 0;
  const flush = async (): Promise<void> => {
    signal?.throwIfAborted();
    await storePage(store, version, page, plan, report);
    page = [];
  };
  for await (const item of source) {
    if (typeof item?.id !== "string") throw new IngestError(`Vector ${position} has no id.`, position);
    const at = position;
    checkVector(item.embedding, version, version.metric, () => `Vector ${at} (id ${JSON.stringify(item.id)})`);
    page.push(item);
    position += 1;
    if (page.length === PAGE) await flush();
  }
  if (page.length > 0) await flush();
}

async function storePage(
  store: OpenStore,
  version: LiveVersion,
  page: readonly AdoptedVector[],
  plan: BackfillPlan,
  report: Report,
): Promise<void> {
  const byTenant = new Map<string, AdoptedVector[]>();
  for (const item of page) {
    const tenant = tenantOf(store, item.tenantId);
    const same = byTenant.get(tenant);
    if (same === undefined) byTenant.set(tenant, [item]);
    else same.push(item);
  }
  for (const [tenant, vectors] of byTenant) {
    const scope = administratorOf(store, tenant);
    const rows = await findRows(scope, version, vectors);
    for (const batch of strideBatches(rows, plan.batchRows)) {
      const began = performance.now();
      const written = await store.database.transaction(scope.settings, (session) =>
        fillRows(session, scope, version, batch),
      );
      report.add(written.filled, written.inPlace, performance.now() - began);
      report.say("filling");
    }
  }
}

function tenantOf({ options }: OpenStore, tenantId: string | undefined): string {
  if (options.layout.tenancy === "off") return DEFAULT_TENANT;
  return tenantId === undefined ? options.tenant() : toTenantId(tenantId);
}

async function findRows(
  store: ScopedStore,
  version: LiveVersion,
  vectors: readonly AdoptedVector[],
): Promise<FilledRow[]> {
  const { id } = store.columns;
  const keys = vectors.map(({ collection = store.options.collection, id: key }) => ({ collection, id: key }));
  const { rows } = await store.database.execute(
    {
      name: "adopt-vectors",
      sql: sql`
        select w.position::int4 - 1 as position, c.collection, c.${id} as id, encode(c.content_hash, 'base64') as hash,
          (c.ctid::text::point)[0]::float8 as page
        from unnest(${new TextArrayParameter(keys.map(({ collection }) => collection))}::text[],
          ${new TextArrayParameter(keys.map((key) => key.id))}::text[]) with ordinality as w (collection, id, position)
        join ${store.table} c on c.tenant_id = ${store.tenant}::text and c.collection = w.collection and c.${id} = w.id
        where c.${identifier(version.column)} is null`,
    },
    { settings: store.settings },
  );
  type Row = { position: number; collection: string; id: string; hash: string; page: number };
  return (rows as unknown as Row[]).map(({ position, hash, ...row }) => ({
    ...row,
    content: "",
    hash: new Uint8Array(Buffer.from(hash, "base64")),
    vector: vectors[position]!.embedding,
  }));
}
