import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import { CountedEmbeddings } from "../embeddings/counted.js";
import { identityOf } from "../embeddings/identity.js";
import { quoteIdentifier, quoteLiteral, quoteQualified, shortenName } from "../db/identifiers.js";
import { ConfigurationError } from "../errors.js";
import { applySteps } from "../schema/apply.js";
import { fingerprintOf } from "../schema/fingerprint.js";
import {
  MODELS_TABLE,
  type Metric,
  type Quantization,
  type RegisteredModel,
  type StorageType,
} from "../schema/layout.js";
import type { SchemaStep } from "../schema/plan.js";
import { checkMetric } from "../store/metric.js";
import type { OpenStore } from "../store/open.js";
import { integer, oneOf } from "../store/options.js";
import { findUnfinished } from "../store/partitions/unfinished.js";
import { checkStorage, maxStoredDimensions, STORAGE_TYPES } from "../store/storage.js";
import { encodeProbe, isNormalized, probeModel } from "../store/versions/probe.js";
import { VersionEmbedder } from "../store/versions/version-embedder.js";
import {
  activeVersion,
  endEpochSql,
  guardColumnsSql,
  highestVersion,
  lockModelsSql,
  liveVersion,
} from "./model-registry.js";
import { sizeVersion, type ModelSizing } from "./sizing.js";
import { tenantScopes } from "./tenant-scopes.js";

/** A model version to add: a model of its own, or other vectors made from those of a version that is there. */
export interface AddModelOptions {
  /** The new model. Left out where the vectors are made `from` a version. */
  embeddings?: EmbeddingsInterface | undefined;
  /** Version whose vectors are taken over: shortened, in another type, or for another metric. */
  from?: number | undefined;
  /** Name of the model. @defaultValue what the embedder says */
  model?: string | undefined;
  provider?: string | undefined;
  revision?: string | undefined;
  /** Fewer than the model gives shortens its vectors (Matryoshka). @defaultValue those that the model gives */
  dimensions?: number | undefined;
  /** @defaultValue that of the active version */
  metric?: Metric | undefined;
  /** @defaultValue `"vector"` up to 2,000 dimensions, `"halfvec"` beyond; never `"sparsevec"` */
  storageType?: StorageType | undefined;
  /** `"binary"` indexes the signs of vectors and ranks the best again. @defaultValue `"binary"` beyond 4,000 dimensions */
  quantization?: Quantization | undefined;
  /** Put in front of documents, such as `search_document: `. */
  documentPrefix?: string | undefined;
  queryPrefix?: string | undefined;
  /** For the estimate of the price. */
  pricePerMillionTokens?: number | undefined;
}

/** What adding a version would do. */
export interface AddModelPlan {
  readonly version: RegisteredModel;
  readonly sizing: ModelSizing;
  readonly steps: readonly SchemaStep[];
}

/** Checks and sizes a version that is to be added. Asks the embedder; changes nothing. */
export async function planAdd(store: OpenStore, options: AddModelOptions): Promise<AddModelPlan> {
  const version = await resolveVersion(store, options);
  const scopes = await tenantScopes(store);
  const sizing = await sizeVersion(store, scopes, {
    ...version,
    embedder: options.embeddings && embedderOf(store, options.embeddings, version),
    pricePerMillionTokens: options.pricePerMillionTokens,
    concurrency: 4,
  });
  return { version, sizing, steps: [addStep(store, version)] };
}

function embedderOf(store: OpenStore, embeddings: EmbeddingsInterface, version: RegisteredModel): VersionEmbedder {
  return new VersionEmbedder(new CountedEmbeddings(embeddings, store.database.activity), false, version);
}

/** Adds a version: its column is there, and written to, from the end of one short transaction. */
export async function addModel(store: OpenStore, plan: AddModelPlan): Promise<RegisteredModel> {
  await applySteps(store.database, plan.steps);
  return plan.version;
}

async function resolveVersion(store: OpenStore, options: AddModelOptions): Promise<RegisteredModel> {
  const busy = store.models.live.find(({ state }) => state === "building" || state === "ready");
  if (busy !== undefined) {
    throw new ConfigurationError(
      `Version ${busy.version} (${busy.fingerprint}) is ${busy.state} already; finish it with \`models cutover\`, or take it away ` +
        `with \`models retire ${busy.version}\`.`,
    );
  }
  const move = await store.database.connection((session) => findUnfinished(session, store));
  if (move !== undefined) {
    throw new ConfigurationError(
      `The tenant ${JSON.stringify(move.tenant)} is being moved between partitions; finish that first.`,
    );
  }
  const source = options.from === undefined ? undefined : liveVersion(store, options.from);
  if ((source === undefined) === (options.embeddings === undefined)) {
    throw new ConfigurationError("models add needs an embedder, or the version whose vectors it is to be made `from`.");
  }
  const identity = source ?? (await identify(options));
  const dimensions =
    integer("dimensions", options.dimensions, 1, maxStoredDimensions("sparsevec")) ?? identity.dimensions;
  if (dimensions > identity.dimensions) {
    throw new ConfigurationError(
      `dimensions is ${dimensions}, the vectors have ${identity.dimensions}; they can be shortened, not lengthened.`,
    );
  }
  const storageType =
    oneOf("storageType", options.storageType, STORAGE_TYPES) ?? (dimensions > 2_000 ? "halfvec" : "vector");
  const quantization =
    oneOf("quantization", options.quantization, ["none", "binary"]) ??
    (dimensions > 4_000 && storageType !== "sparsevec" ? "binary" : "none");
  checkStorage({ storageType, quantization, dimensions });
  if (dimensions < identity.dimensions && (storageType === "sparsevec" || source?.storageType === "sparsevec")) {
    throw new ConfigurationError(
      `Sparse vectors cannot be shortened: their first ${dimensions} dimensions say nothing of the others. Leave \`dimensions\` out.`,
    );
  }
  const metric = options.metric === undefined ? activeVersion(store).metric : checkMetric(options.metric);
  const prefixes = {
    documentPrefix: options.documentPrefix ?? source?.documentPrefix ?? "",
    queryPrefix: options.queryPrefix ?? source?.queryPrefix ?? "",
  };
  const number = (await highestVersion(store)) + 1;
  const version: RegisteredModel = {
    version: number,
    column: shortenName(`${store.options.layout.columns.embedding}_v${number}`),
    provider: options.provider ?? identity.provider,
    model: options.model ?? identity.model,
    revision: options.revision ?? identity.revision,
    dimensions,
    fullDimensions: source?.fullDimensions ?? identity.dimensions,
    metric,
    storageType,
    quantization,
    ...prefixes,
    normalized: identity.normalized,
    fingerprint: "",
    probe: identity.probe,
    derivedFrom: source?.version,
    state: "building",
  };
  return checkNew(store, { ...version, fingerprint: fingerprintOf(version) });
}

type Identity = Pick<RegisteredModel, "provider" | "model" | "revision" | "dimensions" | "normalized" | "probe">;

async function identify({ embeddings }: AddModelOptions): Promise<Identity> {
  const { provider, model } = identityOf(embeddings!);
  const probe = await probeModel(embeddings!);
  return {
    provider,
    model,
    revision: undefined,
    dimensions: probe.length,
    normalized: isNormalized(probe),
    probe: encodeProbe(probe),
  };
}

/** @throws ConfigurationError when it would hold the very vectors of a version that is there. */
function checkNew(store: OpenStore, version: RegisteredModel): RegisteredModel {
  const same = store.models.live.find(
    (live) =>
      live.fingerprint === version.fingerprint &&
      live.metric === version.metric &&
      live.storageType === version.storageType &&
      live.quantization === version.quantization,
  );
  if (same !== undefined) {
    throw new ConfigurationError(
      `Version ${same.version} is ${version.fingerprint} already, with the same metric and storage. Give the other model, or what is to ` +
        "differ: dimensions, metric, storageType, quantization, revision or prefixes.",
    );
  }
  return version;
}

function addStep(store: OpenStore, version: RegisteredModel): SchemaStep {
  const { table } = store.options.layout;
  const on = quoteQualified(store.schema, table);
  const type = `${quoteQualified(store.server.vector.schema, version.storageType)}(${version.dimensions})`;
  const columns = [...store.models.live.map(({ column }) => column), version.column];
  return {
    name: `models/add ${version.version}`,
    sql:
      lockModelsSql(store) +
      `alter table ${on} add column ${quoteIdentifier(version.column)} ${type};\n` +
      guardColumnsSql(store, columns) +
      registerSql(store, version) +
      endEpochSql(store),
  };
}

function registerSql(store: OpenStore, version: RegisteredModel): string {
  const fields: Record<string, string> = {
    store: quoteLiteral(store.options.layout.table),
    version: String(version.version),
    column_name: quoteLiteral(version.column),
    provider: text(version.provider),
    model: text(version.model),
    revision: text(version.revision),
    dimensions: String(version.dimensions),
    full_dimensions: String(version.fullDimensions),
    metric: quoteLiteral(version.metric),
    storage_type: quoteLiteral(version.storageType),
    quantization: quoteLiteral(version.quantization),
    document_prefix: quoteLiteral(version.documentPrefix),
    query_prefix: quoteLiteral(version.queryPrefix),
    normalized: version.normalized === undefined ? "null" : String(version.normalized),
    fingerprint: quoteLiteral(version.fingerprint),
    probe: version.probe === undefined ? "null" : `decode('${Buffer.from(version.probe).toString("hex")}', 'hex')`,
    derived_from: version.derivedFrom === undefined ? "null" : String(version.derivedFrom),
    state: quoteLiteral(version.state),
  };
  return (
    `insert into ${quoteQualified(store.schema, MODELS_TABLE)} (${Object.keys(fields).join(", ")})\n` +
    `values (${Object.values(fields).join(", ")});\n`
  );
}

function text(value: string | undefined): string {
  return value === undefined ? "null" : quoteLiteral(value);
}
