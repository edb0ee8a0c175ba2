import { createHash } from "node:crypto";
import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import type { Database } from "../../db/database.js";
import { ConfigurationError } from "../../errors.js";
import { STAGING_PREFIX } from "../../schema/lexical.js";
import { openStore, scopeTo, type ScopedStore } from "../../store/open.js";
import { resolveOptions, type ResolvedOptions } from "../../store/options.js";
import { toTenantId } from "../../store/tenant.js";
import type { ResolvedImport } from "./options.js";
import type { SourceCollection } from "./source.js";

/** Where one collection goes, before anything is opened. */
export interface Destination {
  readonly options: ResolvedOptions;
  /** The tenant of its rows, as stored. */
  readonly tenant: string;
  /** Value of the rows' collection column once they are visible, and until then. */
  readonly collection: string;
  readonly staging: string;
}

/** A destination whose table is there. Both stores differ in the collection that they see, and in nothing else. */
export interface OpenDestination extends Destination {
  readonly staged: ScopedStore;
  readonly visible: ScopedStore;
}

/** @throws ConfigurationError when a name cannot be what it is to become. No I/O. */
export function destinationOf(source: SourceCollection, resolved: ResolvedImport, label: string): Destination {
  const { args, into } = resolved;
  const { collections: _, ...store } = args;
  const options = resolveOptions({
    ...store,
    distanceStrategy: source.metric,
    ...(source.dimensions !== undefined && { dimensions: source.dimensions }),
    ...(into === "collection" && { collectionName: source.name }),
    ...(into === "table" && {
      tableName: (args.tableName ?? "{collection}").replaceAll("{collection}", source.name),
    }),
    ...(into === "tenant" && { tenancy: "rls" as const, tenantId: toTenantId(source.name) }),
    ...(source.model !== undefined && args.embeddingModel === undefined && { embeddingModel: source.model }),
  });
  // The same import finds what an interrupted run has copied; another source or another mapping does not.
  const { uriKey, collectionKey, missingDocuments } = resolved;
  const identity = [label, source.fingerprint, into, uriKey, collectionKey, missingDocuments, options.collection];
  const hash = createHash("sha256").update(JSON.stringify(identity)).digest("hex").slice(0, 32);
  return {
    options,
    tenant: options.tenant(),
    collection: options.collection,
    staging: `${STAGING_PREFIX}${hash}`,
  };
}

/** Makes the table when it is not there. @throws as {@link openStore}; DimensionMismatchError for another model's table. */
export async function openDestination(
  database: Database,
  destination: Destination,
  source: SourceCollection,
  { args }: ResolvedImport,
): Promise<OpenDestination> {
  const provider = args.embeddingProvider ?? source.provider;
  const open = await openStore(database, destination.options, recordedModel(provider));
  const scoped = scopeTo(open, destination.tenant);
  // Rows under another collection are outside every scope, of searches, of `get` and of deletes alike.
  const options: ResolvedOptions = {
    ...scoped.options,
    collection: destination.staging,
    filter: undefined,
    // A record that is copied again is what the source says, without keys that it had before.
    metadataOnUpsert: "replace",
  };
  const staged = { ...scoped, options };
  return { ...destination, staged, visible: scoped };
}

/** Stands for the embedder that made the vectors; nothing is embedded on the way. */
function recordedModel(provider: string | undefined): EmbeddingsInterface {
  return {
    ...(provider !== undefined && { provider }),
    embedDocuments: refuse,
    embedQuery: refuse,
  };
}

function refuse(): never {
  throw new ConfigurationError("An import embeds nothing.");
}
