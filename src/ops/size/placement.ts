/** Where vectors are best kept, and why. */
export interface Placement {
  readonly where:
    "same instance" | "read replica" | "dedicated instance" | "partitions or distribution" | "another engine";
  readonly why: string;
}

const MILLION = 1e6;

/** Where so many vectors belong. The limits are those of docs/production-guide.md; what fits into memory counts more. */
export function placementOf(vectors: number, memoryBytes: number): Placement {
  if (vectors >= 1_000 * MILLION) {
    return {
      where: "another engine",
      why:
        "A billion vectors that are searched as one set belong to engines that shard one graph or keep it on disk: Milvus, " +
        "Vespa, Qdrant, or DiskANN-based services. Split into tenants that are each searched alone they stay an ordinary load here.",
    };
  }
  if (vectors > 100 * MILLION) {
    return {
      where: "partitions or distribution",
      why:
        "Beyond a hundred million no single graph stays in memory: partition by tenant or by time where every search names " +
        "its partition, or distribute by tenant over several machines (Citus).",
    };
  }
  if (vectors >= 10 * MILLION) {
    const large = vectors >= 100 * MILLION || memoryBytes >= 128 * 2 ** 30;
    return {
      where: "dedicated instance",
      why:
        "From ten million vectors builds and vacuums last long enough to disturb other work, and the graph wants the memory " +
        `for itself${large ? "; at this size that is a machine of 128 GB or more" : ""}.`,
    };
  }
  if (vectors >= MILLION) {
    return {
      where: "read replica",
      why:
        "From one million vectors searches cost enough processor time and memory to move them to a replica (replicaConnectionString), " +
        "and writes stay on the primary.",
    };
  }
  return {
    where: "same instance",
    why: "Below one million vectors one instance for both gives one backup and transactions over both, and the index is small.",
  };
}
