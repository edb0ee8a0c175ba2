import type { Metric } from "../schema/layout.js";

/** Chroma's distances: squared L2, 1 - cosine similarity, 1 - inner product. */
export type Space = "l2" | "cosine" | "ip";

/** A collection as the server describes it. */
export interface ServerCollection {
  readonly id: string;
  readonly name: string;
  readonly dimension?: number | null;
  readonly metadata?: Record<string, unknown> | null;
  readonly configuration_json?: {
    readonly hnsw?: { readonly space?: string | null } | null;
    readonly spann?: { readonly space?: string | null } | null;
    readonly embedding_function?: {
      readonly type?: string;
      readonly name?: string;
      readonly config?: Record<string, unknown> | null;
    } | null;
  } | null;
}

/** A collection of Chroma, in the words of this library. */
export interface ChromaCollection {
  readonly id: string;
  readonly name: string;
  /** `undefined` while the collection has never held a record. */
  readonly dimensions: number | undefined;
  readonly space: Space;
  readonly metadata: Record<string, unknown>;
  /** The embedding model, when the collection's configuration says it. */
  readonly model: { readonly provider: string; readonly model: string | undefined } | undefined;
}

const METRICS = { l2: "euclidean", cosine: "cosine", ip: "innerProduct" } as const satisfies Record<Space, Metric>;

/** The metric that orders rows as Chroma's distance does. */
export function metricOf(space: Space): Metric {
  return METRICS[space];
}

/** The distance that orders rows as the metric does. */
export function spaceOf(metric: Metric): Space {
  return (Object.keys(METRICS) as Space[]).find((space) => METRICS[space] === metric)!;
}

/** Chroma's own number for a distance in pgvector's operator of {@link metricOf}. */
export function chromaDistance(distance: number, space: Space): number {
  switch (space) {
    case "l2":
      return distance * distance;
    case "cosine":
      return distance;
    case "ip":
      // pgvector gives the negative inner product.
      return 1 + distance;
  }
}

export function isSpace(value: unknown): value is Space {
  return value === "l2" || value === "cosine" || value === "ip";
}

export function collectionFrom(server: ServerCollection): ChromaCollection {
  const { configuration_json: configuration, metadata } = server;
  const named = [configuration?.hnsw?.space, configuration?.spann?.space, metadata?.["hnsw:space"]];
  return {
    id: server.id,
    name: server.name,
    dimensions: server.dimension ?? undefined,
    space: named.find(isSpace) ?? "l2",
    metadata: metadata ?? {},
    model: modelOf(configuration?.embedding_function),
  };
}

type EmbeddingFunction = NonNullable<ServerCollection["configuration_json"]>["embedding_function"];

function modelOf(embedder: EmbeddingFunction): ChromaCollection["model"] {
  if (embedder?.type !== "known" || embedder.name === undefined || embedder.name === "default") return undefined;
  const { config } = embedder;
  const model = [config?.["model_name"], config?.["model"], config?.["modelName"]].find(
    (value) => typeof value === "string" && value !== "",
  );
  return { provider: embedder.name, model: model as string | undefined };
}
