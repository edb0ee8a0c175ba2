import type { ServerTestDatabase } from "../../test/helpers/open-database.js";
import { atMost, type Bar, interleave, median } from "../harness.js";
import { openPlaces } from "./places.js";

/** Adding 500 rows to tables that have an HNSW index: that of the base class, and ours. */
export async function measureIndexed(
  database: ServerTestDatabase,
  rows: number,
  dimensions: number,
  folder: string,
): Promise<{ table: Record<string, string | number>[]; bar: Bar }> {
  const places = await openPlaces(database, dimensions, folder);
  const { chunks, off, rls, base } = places;
  await off.bulkLoad(chunks.items(rows));
  await rls.bulkLoad(chunks.items(rows));
  const stored = chunks.list(rows);
  const bare = (from: number): ReturnType<typeof chunks.list> => chunks.list(500, from);
  await base.addVectors(
    stored.vectors,
    stored.documents.map(({ pageContent, metadata }) => ({ pageContent, metadata })),
  );
  const options = { m: 16, efConstruction: 64 };
  await off.createHnswIndex(options);
  await places.pool.query(
    "create index on load_rls using hnsw (embedding vector_cosine_ops) with (m = 16, ef_construction = 64)",
  );
  await base.createHnswIndex({ ...options, dimensions });
  let next = rows;
  const samples = await interleave(
    [
      {
        name: "base class addVectors",
        run: async () => {
          const { vectors, documents } = bare((next += 500));
          await base.addVectors(
            vectors,
            documents.map(({ pageContent, metadata }) => ({ pageContent, metadata })),
          );
        },
      },
      {
        name: "addVectors, tenancy off",
        run: async () => {
          const { vectors, documents } = bare((next += 500));
          await off.addVectors(vectors, documents);
        },
      },
      {
        name: "bulkLoad, tenancy off, indexes kept",
        run: () => off.bulkLoad(chunks.items(500, (next += 500)), { indexes: "keep", vacuum: false }),
      },
      {
        name: "bulkLoad, RLS, indexes kept",
        run: () => rls.bulkLoad(chunks.items(500, (next += 500)), { indexes: "keep", vacuum: false }),
      },
    ],
    { turns: 4, warmUp: 1 },
  );
  await places.close();
  const rate = (name: string): number => 500_000 / median(samples.get(name)!);
  const slowest = Math.max(
    ...["addVectors, tenancy off", "bulkLoad, RLS, indexes kept"].map((name) => median(samples.get(name)!)),
  );
  return {
    table: [...samples.keys()].map((way) => ({ way, "rows in the table": rows, dimensions, "rows/s": rate(way) })),
    bar: atMost(
      "adding to an HNSW index, time of the base class's",
      slowest / median(samples.get("base class addVectors")!),
      1.05,
    ),
  };
}
