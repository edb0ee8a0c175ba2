import { raw } from "sql-template-tag";
import { quoteLiteral, quoteQualified } from "../db/identifiers.js";
import { pause } from "../db/pause.js";
import { SQLSTATE, sqlstateOf } from "../db/sqlstate.js";
import { ConfigurationError, CutoverBlockedError, DatabaseError } from "../errors.js";
import { EPOCHS_TABLE, TENANTS_TABLE } from "../schema/layout.js";
import type { OpenStore, ScopedStore } from "../store/open.js";
import type { StoreHandle } from "../store/store-handle.js";
import type { LiveVersion } from "../store/versions/store-models.js";
import { storedComparison } from "./compare/stored-comparison.js";
import { hasIndex } from "./index-version.js";
import { completenessOf, countMissing } from "./missing.js";
import { activeVersion, endEpochSql, liveVersion, lockModelsSql, setStateSql } from "./model-registry.js";
import { awaitEmbedders } from "./processes.js";
import { tenantScopes } from "./tenant-scopes.js";

export interface SwitchOptions {
  /** @defaultValue the version that is being added; for a rollback the one that was active before */
  version?: number | undefined;
  /** Switches although processes lack the embedder, a comparison has failed or the index is missing. Never mixes vectors. */
  force?: boolean | undefined;
  /** How long to wait for processes that lack the embedder. @defaultValue 0 */
  waitMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** What a switch would do, and what speaks against it. */
export interface SwitchPlan {
  readonly from: number;
  readonly to: number;
  readonly missing: number;
  /** Each with the cure; empty when nothing does. */
  readonly objections: readonly string[];
  readonly sql: string;
}

export interface Switched {
  readonly from: number;
  readonly to: number;
  /** For how long writers waited at most, in milliseconds. */
  readonly lockedMs: number;
}

const LOCK_TIMEOUT = "2s";
const MAX_LOCK_ATTEMPTS = 30;

/** The version that a rollback goes to: the youngest that was active before. */
export function previousVersion(store: OpenStore, number: number | undefined): LiveVersion {
  const found =
    number === undefined ? store.models.live.findLast(({ state }) => state === "retiring") : liveVersion(store, number);
  if (found?.state === "retiring") return found;
  throw new ConfigurationError(
    found === undefined
      ? "There is no version to go back to: none is retiring."
      : `Version ${found.version} is ${found.state}; a rollback goes to one that was active before and is still written to.`,
  );
}

/** The version that a cut-over goes to. */
export function nextVersion(store: OpenStore, number: number | undefined): LiveVersion {
  const found = liveVersion(store, number);
  if (found.state !== "active") return found;
  throw new ConfigurationError(`Version ${found.version} is active already.`);
}

/** What speaks against a switch now. Reads only. */
export async function planSwitch(store: OpenStore, to: LiveVersion, options: SwitchOptions): Promise<SwitchPlan> {
  const from = activeVersion(store);
  const scopes = await tenantScopes(store);
  const { missing } = await completenessOf(store, scopes, to);
  const objections: string[] = [];
  if (missing > 0) objections.push(missingText(to, missing));
  const forward = to.state !== "retiring";
  if (forward && !(await hasIndex(store, to.version)) && (await hasIndex(store, from.version))) {
    objections.push(`Version ${to.version} has no valid vector index: \`models backfill\` builds it.`);
  }
  const comparison = await storedComparison(store, to.version);
  if (comparison?.passed === false) {
    objections.push(`The last comparison failed: ${comparison.failures.join("; ")}. See \`models compare\`.`);
  }
  const lacking = await awaitEmbedders(store, to, options.waitMs ?? 0, options.signal);
  if (lacking.length > 0) {
    objections.push(
      `${lacking.length} processes lack the embedder of version ${to.version} and would search by version ${from.version} on: ` +
        `${lacking.map(({ label }) => label).join(", ")}. Deploy it to them first (\`embedders\`), or wait until they are gone.`,
    );
  }
  return { from: from.version, to: to.version, missing, objections, sql: switchSql(store, from, to) };
}

/**
 * Makes a version the active one in one transaction, behind the lock that writers share: none can leave a row behind
 * that lacks its vector. Statements of the earlier epoch that run finish on the version that they began with.
 *
 * @throws CutoverBlockedError while rows lack their vector, forced or not; for other objections unless it is forced.
 */
export async function switchTo(handle: StoreHandle, to: LiveVersion, options: SwitchOptions): Promise<Switched> {
  const store = await handle.open();
  const plan = await planSwitch(store, to, options);
  if (plan.missing > 0 || (plan.objections.length > 0 && !options.force)) {
    throw new CutoverBlockedError(
      `Version ${to.version} was not made active. ${plan.objections.join(" ")}`,
      plan.objections,
    );
  }
  const scopes = await tenantScopes(store);
  const lockedMs = await flip(store, scopes, to, plan.sql);
  await handle.renew(store);
  return { from: plan.from, to: plan.to, lockedMs };
}

async function flip(
  store: OpenStore,
  scopes: readonly ScopedStore[],
  to: LiveVersion,
  script: string,
): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await store.database.transaction({ lock_timeout: LOCK_TIMEOUT }, async (session) => {
        await session.execute({ name: "models/lock", sql: raw(lockModelsSql(store)) });
        const locked = performance.now();
        const missing = await countMissing(session, store, scopes, to);
        if (missing > 0) throw new CutoverBlockedError(missingText(to, missing), [missingText(to, missing)]);
        await session.execute({ name: "models/switch", sql: raw(script) });
        return performance.now() - locked;
      });
    } catch (error) {
      if (sqlstateOf(error) !== SQLSTATE.lockNotAvailable) throw error;
      if (attempt === MAX_LOCK_ATTEMPTS) {
        throw new DatabaseError(
          "models cutover: a transaction that writes holds the store's models for minutes. Find it in pg_stat_activity, then try again.",
          SQLSTATE.lockNotAvailable,
          true,
          { cause: error },
        );
      }
      await pause(50 + Math.random() * 200);
    }
  }
}

function missingText({ version }: LiveVersion, missing: number): string {
  return `${missing} rows wait for their vector of version ${version}: run \`models backfill\` (\`models status\` lists those set aside).`;
}

function switchSql(store: OpenStore, from: LiveVersion, to: LiveVersion): string {
  const overrides =
    store.options.layout.tenancy === "off"
      ? ""
      : `update ${quoteQualified(store.schema, TENANTS_TABLE)} set model_version = null ` +
        `where store = ${quoteLiteral(store.options.layout.table)} and model_version = ${to.version};\n`;
  return (
    setStateSql(store, from.version, "retiring") +
    setStateSql(store, to.version, "active") +
    overrides +
    endEpochSql(store)
  );
}

/** Makes one tenant read another version than the others, or the active one again. */
export async function overrideTenant(
  handle: StoreHandle,
  scope: ScopedStore,
  version: LiveVersion | undefined,
): Promise<void> {
  const store = await handle.open();
  const table = quoteQualified(store.schema, TENANTS_TABLE);
  const own = quoteLiteral(store.options.layout.table);
  const script =
    `update ${table} set model_version = ${version === undefined ? "null" : version.version} where store = ${own} and tenant_id = ${quoteLiteral(scope.tenant)};\n` +
    `update ${quoteQualified(store.schema, EPOCHS_TABLE)} set overrides = exists (select from ${table} t ` +
    `where t.store = ${own} and t.model_version is not null) where store = ${own};\n` +
    endEpochSql(store);
  await flip(store, version === undefined ? [] : [scope], version ?? activeVersion(store), script);
  await handle.renew(store);
}
