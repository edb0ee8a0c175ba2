import { quoteQualified } from "../../db/identifiers.js";
import type { OpenStore } from "../open.js";
import { alone, patiently } from "./locks.js";
import { abandon, lockSql, runScript } from "./target.js";
import { ownPartition, partitionSql, readTree } from "./tree.js";
import { findUnfinished } from "./unfinished.js";

/** Removes what a tenant that has no rows any more has of partitions: its own, or the copy of an interrupted move. */
export async function removePartition(
  store: OpenStore,
  tenant: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (!store.partitioned) return;
  await store.database.connection(
    (session) =>
      // Deletions of several tenants take turns; a move may take longer than they wait.
      patiently(
        "drop-partition",
        () =>
          alone(session, store, async () => {
            const tree = await readTree(session, store);
            const unfinished = await findUnfinished(session, store);
            if (unfinished?.tenant === tenant) await abandon(session, store, tree, unfinished);
            const own = ownPartition(tree, tenant);
            if (own === undefined) return;
            const table = quoteQualified(store.schema, store.options.layout.table);
            const script =
              lockSql(store, [tree.shared, own]) +
              `alter table ${table} detach partition ${partitionSql(own)};\ndrop table ${partitionSql(own)};\n`;
            await runScript(session, "drop-partition", [tree.shared, own], script, { signal });
          }),
        { signal },
      ),
    signal,
  );
  store.memory.forgetPartitions();
}
