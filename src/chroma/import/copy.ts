import { IngestError } from "../../errors.js";
import type { ScopedStore } from "../../store/open.js";
import type { ResolvedImport } from "./options.js";
import { PageWriter } from "./page-writer.js";
import { prepareRecords, type Findings } from "./prepare.js";
import { readAhead, type KnownIds, type SourceCollection } from "./source.js";
import { countRows, discardStaged, idsIn } from "./stage.js";

export interface Copied {
  /** Records that an interrupted run had staged. */
  readonly resumed: number;
  /** Spent waiting for the source. */
  readonly readSeconds: number;
}

/**
 * Stages the records of a collection that are not staged yet, page by page.
 *
 * @throws IngestError for a record that cannot be stored, or an id that occurs twice.
 */
export async function copyCollection(
  source: SourceCollection,
  staged: ScopedStore,
  options: ResolvedImport,
  findings: Findings,
  onProgress: (done: number) => void,
): Promise<Copied> {
  const { pageRows } = options;
  const { signal, restart } = options.args;
  if (restart) await discardStaged(staged);
  const resumed = await countRows(staged, signal);
  const known: KnownIds | undefined = resumed === 0 ? undefined : (ids) => idsIn(staged, ids);
  const writer = await PageWriter.open(staged, pageRows, signal);
  let written = resumed;
  let done = resumed;
  let waited = 0;
  let since = performance.now();
  for await (const records of readAhead(source.pages(pageRows, known))) {
    waited += performance.now() - since;
    signal?.throwIfAborted();
    const rows = prepareRecords(records, source.name, staged, options, findings);
    await writer.write(rows);
    written += rows.length;
    done += records.length;
    onProgress(done);
    since = performance.now();
  }
  const readSeconds = (waited + performance.now() - since) / 1_000;
  const stored = await countRows(staged, signal);
  if (stored < written) throw repeated(source.name, written - stored);
  return { resumed, readSeconds };
}

function repeated(collection: string, times: number): IngestError {
  return new IngestError(
    `The collection ${JSON.stringify(collection)} holds ids more than once: ${count(times)} would replace others of their ` +
      "id. Nothing of it is visible. Give each record an id of its own at the source, and run the import again with restart.",
  );
}

function count(times: number): string {
  return times === 1 ? "one record" : `${times} records`;
}
