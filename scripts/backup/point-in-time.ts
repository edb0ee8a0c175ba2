import { spawnSync } from "node:child_process";
import { appendFileSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pool } from "pg";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import { findNativeBinaries, unprivilegedUser } from "../../test/helpers/native-binaries.js";
import { launch, startNativeServer } from "../../test/helpers/native-server.js";
import { HashedEmbeddings } from "../../test/helpers/vectors.js";

export interface PointInTime {
  readonly before: number;
  readonly afterAccident: number;
  readonly recovered: number;
  readonly sameSearches: number;
  readonly searches: number;
  readonly seconds: number;
}

const SEARCHES = 50;

/**
 * A base backup, more writes, an accident, and a recovery to the moment before it, with the native programs; `undefined`
 * where there are none.
 */
export async function recoverToPointInTime(): Promise<PointInTime | undefined> {
  const runAs = unprivilegedUser();
  const binaries = findNativeBinaries(runAs);
  if (!binaries) return undefined;
  const archive = folderOf(runAs);
  const base = folderOf(runAs);
  const server = await startNativeServer({
    archive_mode: "on",
    archive_command: `test ! -f ${archive}/%f && cp %p ${archive}/%f`,
    wal_level: "replica",
    full_page_writes: "on",
  });
  if (!server) return undefined;
  let recovered: { url: string; stop(): Promise<void> } | undefined;
  try {
    const pool = new Pool({ connectionString: server.url });
    pool.on("error", () => undefined);
    await pool.query("create extension if not exists vector");
    await write(server.url, 0, 1_000);
    const { password, port } = new URL(server.url);
    const made = spawnSync(
      join(binaries.bin, "pg_basebackup"),
      [
        "-D",
        join(base, "data"),
        "-h",
        "127.0.0.1",
        "-p",
        port,
        "-U",
        "postgres",
        "--checkpoint=fast",
        "--wal-method=stream",
      ],
      { ...runAs, cwd: base, encoding: "utf8", env: { ...process.env, PGPASSWORD: password } },
    );
    if (made.status !== 0) throw new Error(`pg_basebackup failed: ${made.stderr}`);
    const verify = spawnSync(join(binaries.bin, "pg_verifybackup"), [join(base, "data")], {
      ...runAs,
      encoding: "utf8",
    });
    if (verify.status !== 0) throw new Error(`pg_verifybackup failed: ${verify.stderr}`);
    await write(server.url, 1_000, 100);
    const before = await rowsOf(pool);
    const expected = await search(server.url);
    await pool.query("select pg_create_restore_point('before the accident')");
    await pool.query("delete from notes");
    const afterAccident = await rowsOf(pool);
    const { rows } = await pool.query<{ file: string }>("select pg_walfile_name(pg_current_wal_lsn()) as file");
    await pool.query("select pg_switch_wal()");
    for (;;) {
      const archived = await pool.query<{ done: boolean }>(
        "select last_archived_wal >= $1 as done from pg_stat_archiver",
        [rows[0]!.file],
      );
      if (archived.rows[0]?.done) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await pool.end();
    const began = Date.now();
    appendFileSync(
      join(base, "data/postgresql.auto.conf"),
      [
        "archive_mode = 'off'",
        `restore_command = 'cp ${archive}/%f %p'`,
        "recovery_target_name = 'before the accident'",
        "recovery_target_action = 'promote'",
        "",
      ].join("\n"),
    );
    writeFileSync(join(base, "data/recovery.signal"), "");
    if (runAs) chownSync(join(base, "data/recovery.signal"), runAs.uid, runAs.gid);
    recovered = await launch(binaries, base, password, runAs);
    const restored = new Pool({ connectionString: recovered.url });
    restored.on("error", () => undefined);
    for (;;) {
      const { rows: state } = await restored.query<{ recovering: boolean }>("select pg_is_in_recovery() as recovering");
      if (!state[0]!.recovering) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const seconds = (Date.now() - began) / 1_000;
    const found = await search(recovered.url);
    const result = {
      before,
      afterAccident,
      recovered: await rowsOf(restored),
      sameSearches: found.filter((one, i) => one === expected[i]).length,
      searches: SEARCHES,
      seconds,
    };
    await restored.end();
    return result;
  } finally {
    await recovered?.stop();
    await server.stop();
    for (const folder of [archive, base]) rmSync(folder, { recursive: true, force: true });
  }
}

function folderOf(runAs: { uid: number; gid: number } | undefined): string {
  const folder = mkdtempSync(join(tmpdir(), "langchain-pgvector-pitr-"));
  mkdirSync(folder, { recursive: true });
  if (runAs) chownSync(folder, runAs.uid, runAs.gid);
  return folder;
}

function config(url: string): PostgresVectorStoreArgs {
  return { connectionString: url, tableName: "notes", tenancy: "rls", tenantId: "acme", lexical: true };
}

async function write(url: string, from: number, count: number): Promise<void> {
  const store = await PostgresVectorStore.initialize(new HashedEmbeddings(), config(url));
  await store.addDocuments(
    Array.from({ length: count }, (_, i) => ({
      id: String(from + i),
      pageContent: `note ${from + i} about topic ${(from + i) % 37}`,
      metadata: {},
    })),
  );
  await store.end();
}

async function search(url: string): Promise<string[]> {
  const store = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), config(url));
  const found: string[] = [];
  for (let i = 0; i < SEARCHES; i += 1) {
    const hits = await store.search(`topic ${i % 37}`, { k: 10, searchType: "hybrid" });
    found.push(JSON.stringify(hits.map(({ document, score }) => [document.id, score])));
  }
  await store.end();
  return found;
}

async function rowsOf(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ rows: number }>("select count(*)::int as rows from notes");
  return rows[0]!.rows;
}
