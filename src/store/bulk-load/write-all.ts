import { Breather } from "../../db/breather.js";
import type { BatchWriter } from "./batch-writer.js";
import type { Batch } from "./batch.js";
import type { ReadyGroup } from "./embed-groups.js";
import type { StoredBatch } from "./progress.js";

/**
 * Fills batches from the groups and has them written, no more at a time than there are batches: what is read waits for
 * what is written.
 */
export async function writeAll(
  groups: AsyncIterable<ReadyGroup>,
  writer: BatchWriter,
  batches: readonly Batch[],
  onStored: (stored: StoredBatch) => void,
): Promise<void> {
  const breather = new Breather();
  const free = [...batches];
  const running: { batch: Batch; stored: Promise<void> }[] = [];
  /** Rows of the source that batches on their way have dealt with. */
  let sent = 0;
  const next = async (): Promise<Batch> => {
    if (free.length === 0) {
      const { batch, stored } = running.shift()!;
      await stored;
      free.push(batch);
    }
    const batch = free.pop()!;
    batch.clear();
    return batch;
  };
  const send = (batch: Batch): void => {
    const stored = write(batch);
    // Looked at in its turn; until then a failure is nobody's.
    stored.catch(() => undefined);
    running.push({ batch, stored });
    sent = batch.end;
  };
  const write = async (batch: Batch): Promise<void> => {
    const { size, taken, bytes } = batch;
    onStored({ written: await writer.write(batch), distinct: size, taken, bytes });
  };
  try {
    let batch = await next();
    for await (const group of groups) {
      for (const row of group.rows) {
        batch.add(row);
        if (batch.full) {
          send(batch);
          batch = await next();
        }
        if (breather.due) await breather.breathe();
      }
      batch.end = group.end;
    }
    if (batch.end > sent) send(batch);
    for (const { stored } of running.splice(0)) await stored;
  } catch (error) {
    // What is on its way is stored or rolled back before the caller hears of the failure.
    await Promise.allSettled(running.map(({ stored }) => stored));
    throw error;
  }
}
