import { mostElements } from "../indexed-elements.js";
import type { ScopedStore } from "../open.js";
import { storedBytes } from "../storage.js";
import type { LiveVersion } from "../versions/store-models.js";
import { BatchWriter } from "./batch-writer.js";
import { Batch, keptType } from "./batch.js";
import { Checkpoint } from "./checkpoint.js";
import { chooseWriter } from "./choose-writer.js";
import { GroupEmbedder } from "./embed-groups.js";
import type { BulkLoadOptions, BulkLoadPlan, BulkLoadResult, BulkLoadSource } from "./options.js";
import { ProgressReport } from "./progress.js";
import { readGroups } from "./read-groups.js";
import { Rejects } from "./rejects.js";
import { TableCare } from "./table-care.js";
import { writeAll } from "./write-all.js";
import type { RowWriter } from "./write-rows.js";

/**
 * What a transaction is to write, vectors and texts each: large enough that its fixed costs vanish, and for the temporary
 * table no more than the 8 MB of buffers that a session has for it.
 */
const BATCH_BYTES: Record<BulkLoadResult["path"], number> = {
  copy: 8 * 2 ** 20,
  staging: 4 * 2 ** 20,
  arrays: 4 * 2 ** 20,
};
/** One that is filled while two are written. */
const BATCHES = 3;

/** Stores whatever the source brings; see `PostgresVectorStore.bulkLoad`. */
export async function bulkLoad(
  store: ScopedStore,
  source: BulkLoadSource,
  plan: BulkLoadPlan,
  options: BulkLoadOptions,
): Promise<BulkLoadResult> {
  const { signal } = options;
  const rejects = new Rejects(plan.onError, (rejected) => {
    store.database.activity.countChunks("skipped", 1);
    options.onReject?.(rejected);
  });
  const checkpoint = new Checkpoint(store, plan.checkpoint);
  await checkpoint.open();
  const progress = new ProgressReport(plan.total, checkpoint.rowsDone, rejects, options.onProgress);
  const versions = versionsToLoad(store);
  const limits = await Promise.all(versions.map((version) => mostElements(store, version)));
  const writer = await chooseWriter(store, versions, signal);
  const record = checkpoint.record.bind(checkpoint);
  const writing = new BatchWriter(store, versions, writer, rejects, record, signal);
  const embedder = new GroupEmbedder(store, versions, limits, plan.embed, rejects, signal);
  const groups = readGroups(source, { size: plan.embed.batchSize, checkpoint, rejects, signal });
  const care = new TableCare(store);
  try {
    await care.begin(plan, checkpoint.rowsDone);
    await writeAll(embedder.run(groups), writing, batchesFor(versions, writer, plan), (stored) => {
      progress.stored(stored);
      care.noteRows(progress.rows);
    });
    await writing.flush();
    await checkpoint.close();
    if (plan.vacuum && progress.rows > 0) {
      progress.say("vacuuming");
      await care.vacuum(signal);
    }
  } catch (error) {
    // Whoever aborts does not want to wait for an index; what failed is worth more than what fails after it.
    await care.restore(!signal?.aborted, undefined).catch((also: unknown) => {
      store.options.logger.warn(`langchain-pgvector: after a bulk load that failed: ${String(also)}`);
    });
    throw error;
  }
  progress.say("indexing");
  await care.restore(true, signal);
  return {
    rows: progress.rows,
    resumedFrom: checkpoint.rowsDone,
    rejected: rejects.count,
    rejectedRows: rejects.listed,
    bytes: progress.bytes,
    seconds: progress.seconds,
    path: writing.path,
    rebuiltIndexes: care.rebuilt,
  };
}

/** The model versions that a load can supply; those without an embedder here are filled by their backfill. */
function versionsToLoad({ models }: ScopedStore): LiveVersion[] {
  return models.live.filter(
    (version) =>
      version.embedder !== undefined ||
      version.version === models.reading.version ||
      version.version === models.readingVectors?.version,
  );
}

function batchesFor(versions: readonly LiveVersion[], { path }: RowWriter, plan: BulkLoadPlan): Batch[] {
  const types = versions.map((version) => keptType(version, path));
  const rowBytes = types.reduce((sum, type) => sum + 8 + storedBytes(type), 0);
  const rows = plan.batchRows ?? Math.min(10_000, Math.max(100, Math.floor(BATCH_BYTES[path] / rowBytes)));
  return Array.from({ length: BATCHES }, () => new Batch(rows, BATCH_BYTES[path], types));
}
