import { toolConnection } from "./connection.js";
import { checkDumpVersion, findTool } from "./client-tools.js";
import { checkComplete } from "./completeness.js";
import { withDatabase } from "./database.js";
import { checkBackupOptions, type BackupOptions } from "./options.js";
import { findSchema, readStoredObjects } from "./relations.js";
import { readServer } from "./server-facts.js";

/** What a backup would hold. */
export interface BackupPlan {
  /** The program, with its version. */
  readonly command: string;
  readonly relations: readonly string[];
  /** Of the tables, without their indexes. */
  readonly tableBytes: number;
  /** Whether row-level security binds the role, which then sees all rows by a policy of its own. */
  readonly rowSecurity: boolean;
}

/** Makes the checks of a backup, and no backup. @throws what `createBackup` would throw before it dumps anything. */
export async function planBackup(options: BackupOptions): Promise<BackupPlan> {
  checkBackupOptions(options);
  const { environment } = toolConnection(options.connectionString, options.environment ?? {});
  const dump = await findTool("pg_dump", options.pgBin, environment);
  await findTool("pg_restore", options.pgBin, environment);
  return withDatabase(options, (database) =>
    database.connection(async (session) => {
      checkDumpVersion(dump, (await readServer(session)).version);
      const { relations } = await readStoredObjects(session, await findSchema(session, options.schema));
      const rowSecurity = options.schemaOnly ? false : await checkComplete(session, relations);
      const tableBytes = relations.reduce((sum, { bytes }) => sum + bytes, 0);
      return {
        command: `${dump.path} ${dump.version}`,
        relations: relations.map(({ name }) => name),
        tableBytes,
        rowSecurity,
      };
    }),
  );
}
