/** Shows all rows of a table to the role that makes backups, and nobody else. */
export const BACKUP_POLICY = "langchain_pgvector_backup";
