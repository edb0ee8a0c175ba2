import { resolve } from "node:path";
import { dimensionsOf, isSparse } from "../db/sparse-vector.js";
import { ConfigurationError } from "../errors.js";
import { DEFAULT_FIELDS } from "../loaders/vector-files/to-item.js";
import { readVectorFile } from "../loaders/vector-files/read-vector-file.js";
import type { BulkLoadItem, BulkLoadProgress } from "../store/bulk-load/options.js";
import type { CliContext } from "./context.js";
import type { ColumnNames, LexicalFlags, PatienceFlags } from "./flags.js";
import type { ModelFlags } from "./model-options.js";
import { openCliStore } from "./open-store.js";
import type { Target, TargetFlags, TenancyFlags } from "./target.js";

export interface VectorFlags extends LexicalFlags, TargetFlags, TenancyFlags, ModelFlags, PatienceFlags {
  readonly from: string;
  readonly documents?: string;
  readonly fields?: ColumnNames;
  readonly onError?: "fail" | "skip";
  readonly checkpoint?: string;
  readonly indexes?: "keep" | "rebuild" | "auto";
  readonly json?: boolean;
}

const REPORT_MS = 1_000;

/** Loads ready vectors from a file; a new table gets their number of dimensions. */
export async function ingestVectors(context: CliContext, target: Target, flags: VectorFlags): Promise<void> {
  const fields = { ...DEFAULT_FIELDS, ...flags.fields };
  const path = resolve(context.cwd, flags.from);
  const documents = flags.documents === undefined ? undefined : resolve(context.cwd, flags.documents);
  const items = await readVectorFile(path, { fields, documents });
  const first = await items.next();
  if (first.done === true) throw new ConfigurationError(`${flags.from} is empty.`);
  const { fields: _, ...place } = flags;
  const vector = "embedding" in first.value ? first.value.embedding : undefined;
  const dimensions = vector && dimensionsOf(vector);
  const store = await openCliStore(context, target, place, {
    create: true,
    vectors: { from: flags.from, dimensions, sparse: isSparse(vector) },
  });
  let said = 0;
  const result = await store.bulkLoad(withFirst(first.value, items), {
    signal: context.signal,
    ...(flags.onError !== undefined && { onError: flags.onError }),
    ...(flags.checkpoint !== undefined && { checkpoint: flags.checkpoint }),
    ...(flags.indexes !== undefined && { indexes: flags.indexes }),
    onReject: ({ row, cause }) => context.err(`rejected row ${row}: ${cause.message}`),
    onProgress: (progress) => {
      const now = Date.now();
      if (progress.phase === "loading" && now - said < REPORT_MS) return;
      said = now;
      context.err(describe(progress));
    },
  });
  const { rows, rejected, resumedFrom, seconds, bytes, path: way, rebuiltIndexes } = result;
  if (flags.json) {
    context.out(JSON.stringify({ rows, rejected, resumedFrom, bytes, seconds, path: way, rebuiltIndexes }));
    return;
  }
  const parts = [
    `${rows.toLocaleString("en")} rows`,
    ...(resumedFrom > 0 ? [`behind ${resumedFrom.toLocaleString("en")} of an earlier run`] : []),
    ...(rejected > 0 ? [`${rejected.toLocaleString("en")} rejected`] : []),
    ...rebuiltIndexes.map((name) => `${name} built again`),
  ];
  context.out(`${parts.join(", ")} in ${seconds.toFixed(1)} s`);
}

function describe({ phase, rows, rowsPerSecond }: BulkLoadProgress): string {
  if (phase !== "loading") return phase;
  return `${rows.toLocaleString("en")} rows, ${Math.round(rowsPerSecond).toLocaleString("en")} a second`;
}

async function* withFirst(first: BulkLoadItem, rest: AsyncGenerator<BulkLoadItem>): AsyncGenerator<BulkLoadItem> {
  yield first;
  yield* rest;
}
