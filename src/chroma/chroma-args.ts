import { ConfigurationError } from "../errors.js";
import type { PostgresVectorStoreArgs } from "../store/options.js";
import { isSpace, type Space } from "./collection.js";
import { defaultConnection } from "./default-connection.js";
import { checkWhere } from "./where.js";

/**
 * Arguments of {@link Chroma}: those of LangChain's `Chroma`, and those of a store on Postgres. What says where a Chroma
 * server is (`url`, `index`, `clientParams`, `chromaCloudAPIKey`) is ignored with a warning.
 */
export interface ChromaLibArgs extends Omit<
  PostgresVectorStoreArgs,
  "filter" | "distanceStrategy" | "scoreNormalization" | "collectionMetadata"
> {
  url?: string;
  index?: unknown;
  clientParams?: object;
  chromaCloudAPIKey?: string;
  /** Dimensions of the vectors. Taken from the first ones when absent. */
  numDimensions?: number;
  /** `"hnsw:space"` in it says the distance of a collection that is to be made: `"l2"` (default), `"cosine"` or `"ip"`. */
  collectionMetadata?: Record<string, unknown>;
  /** Chroma's newer way to say the same: `{ hnsw: { space } }`. */
  collectionConfiguration?: { readonly hnsw?: object | null; readonly spann?: object | null } | object;
  /** Chroma's `where`, applied to every search together with the call's own. */
  filter?: object;
  /**
   * The number beside a document: `"chroma"` is Chroma's distance (squared L2, 1 - cosine, 1 - inner product),
   * `"distance"` that of pgvector, both lower is better; `"similarity"`: higher is better.
   * @defaultValue `"chroma"`
   */
  score?: "chroma" | "distance" | "similarity";
}

const SERVER_ARGS = ["url", "index", "clientParams", "chromaCloudAPIKey"] as const;

/**
 * The options of the store behind a `Chroma`. Giving them to it again gives the same, as views of tenants do.
 *
 * @throws ConfigurationError, FilterError before any I/O.
 */
export function toStoreArgs(args: ChromaLibArgs): PostgresVectorStoreArgs {
  const { url, index, clientParams, chromaCloudAPIKey, numDimensions, collectionConfiguration, filter, ...rest } = args;
  const { score, collectionMetadata, ...store } = rest;
  warnOfServer(args, { url, index, clientParams, chromaCloudAPIKey });
  if (score !== undefined && !["chroma", "distance", "similarity"].includes(score)) {
    throw new ConfigurationError(
      `score ${JSON.stringify(score)} is unknown; use "chroma", "distance" or "similarity".`,
    );
  }
  const hasDatabase =
    store.connectionString !== undefined || store.pool !== undefined || store.postgresConnectionOptions !== undefined;
  const dimensions = store.dimensions ?? numDimensions;
  return {
    metadataOnUpsert: "merge",
    // LangChain's Chroma makes a name for each instance that has none; here one that comes again does more good.
    collectionName: "langchain",
    ...(!hasDatabase && defaultConnection()),
    ...store,
    // Not an option of the store, but views of tenants are made from what this returns.
    ...(score !== undefined && { score }),
    ...(dimensions !== undefined && { dimensions }),
    ...(filter !== undefined && { filter: checkWhere(filter) }),
    collectionMetadata: { ...collectionMetadata, "hnsw:space": spaceIn(collectionMetadata, collectionConfiguration) },
  };
}

/** Chroma's order: the configuration, the metadata, squared L2. @throws ConfigurationError for an unknown one. */
function spaceIn(metadata: Record<string, unknown> | undefined, configuration: object | undefined): Space {
  const { hnsw, spann } = (configuration ?? {}) as Record<"hnsw" | "spann", { space?: unknown } | null | undefined>;
  const space = hnsw?.space ?? spann?.space ?? metadata?.["hnsw:space"] ?? "l2";
  if (isSpace(space)) return space;
  throw new ConfigurationError(
    `The distance "hnsw:space" ${JSON.stringify(space)} is unknown; use "l2", "cosine" or "ip".`,
  );
}

let warned = false;

function warnOfServer(args: ChromaLibArgs, given: Readonly<Record<(typeof SERVER_ARGS)[number], unknown>>): void {
  const names = SERVER_ARGS.filter((name) => given[name] !== undefined);
  if (names.length === 0) return;
  const message = `langchain-pgvector: Chroma keeps its collections in Postgres and ignores ${names.join(", ")}; remove it.`;
  if (args.logger !== undefined) return args.logger.warn(message);
  // Code written for Chroma makes a store wherever it needs one.
  if (!warned) process.emitWarning(message, { code: "LANGCHAIN_PGVECTOR_CHROMA" });
  warned = true;
}
