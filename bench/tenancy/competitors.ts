import type pg from "pg";
import { VectorParameter } from "../../src/db/codec.js";
import { Database } from "../../src/db/database.js";
import type { Settings } from "../../src/db/settings.js";
import { openStore, scopeTo } from "../../src/store/open.js";
import { resolveOptions } from "../../src/store/options.js";
import { planSearch } from "../../src/store/plan-search.js";
import { strategySettings, type SearchStrategy } from "../../src/store/search-strategy.js";
import type { ServerTestDatabase } from "../../test/helpers/open-database.js";
import { type Corpus, NoEmbeddings, TABLE, tenantName, type TenantKind } from "./data.js";

export const K = 10;

/** The way that the store chooses for each kind of tenant, so that the bare query can be given the same one. */
export async function strategies(database: ServerTestDatabase, corpus: Corpus): Promise<Map<string, SearchStrategy>> {
  const pool = database.newPool({ connectionString: database.appUrl, max: 1 });
  const options = resolveOptions({ pool, tableName: TABLE, tenancy: "rls", dimensions: corpus.dimensions });
  const open = await openStore(new Database(pool), options, new NoEmbeddings(), { mustExist: true });
  const chosen = new Map<string, SearchStrategy>();
  for (const { kind } of corpus.kinds) {
    const store = scopeTo(open, tenantName(kind, 0));
    chosen.set(kind, await planSearch(store, { k: K, filter: undefined, efSearch: undefined, probes: undefined }));
  }
  return chosen;
}

/** The first search for a tenant also asks for its size; ten of a kind have been asked when the clock starts. */
const ASKED_TENANTS = 10;

export function tenantOf({ kind, tenants }: TenantKind, turn: number): string {
  return tenantName(kind, turn % Math.min(tenants, ASKED_TENANTS));
}

export function ours(corpus: Corpus, kind: TenantKind, turn: number): Promise<unknown> {
  const query = corpus.queries[turn % corpus.queries.length]!;
  return corpus.store.forTenant(tenantOf(kind, turn)).search(query, { k: K });
}

/** The base class knows no tenants: it searches the whole table. */
export function searchBase(corpus: Corpus, turn: number): Promise<unknown> {
  return corpus.base.similaritySearchVectorWithScore(corpus.queries[turn % corpus.queries.length]!, K);
}

/** What one would write by hand: a named statement and binary vectors, the tenant and the planner's settings in the session. */
export class BareQuery {
  constructor(
    readonly client: pg.PoolClient,
    readonly corpus: Corpus,
    readonly chosen: ReadonlyMap<string, SearchStrategy>,
  ) {}

  async prepare(kind: TenantKind, turn: number): Promise<void> {
    const settings: Settings = {
      ...strategySettings(this.chosen.get(kind.kind)!, { iterative: true }),
      "app.current_tenant": tenantOf(kind, turn),
      plan_cache_mode: "force_custom_plan",
    };
    await this.client.query("reset all");
    const entries = Object.entries(settings);
    const calls = entries.map((_, i) => `set_config($${2 * i + 1}, $${2 * i + 2}, false)`);
    await this.client.query(`select ${calls.join(", ")}`, entries.flat());
  }

  run(kind: TenantKind, turn: number): Promise<unknown> {
    const query = this.corpus.queries[turn % this.corpus.queries.length]!;
    return this.client.query({
      name: "bare",
      text: `select id, text, metadata, embedding <=> $1::vector as distance from ${TABLE}
        where tenant_id = $2 and collection = '' order by distance limit ${K}`,
      values: [new VectorParameter(query), tenantOf(kind, turn)],
    });
  }
}
