/**
 * What ingestion promises, on 3,747 manual sections and files of every format: offsets, a second run, small changes, many
 * kills, runs at the same time. Prints one line for each promise and exits 1 when one is not kept.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { OfflineEmbeddings } from "../src/embeddings/offline.js";
import { PostgresVectorStore } from "../src/index.js";
import { loadDocuments, syncDocuments, type SyncResult } from "../src/loaders/index.js";
import { openStandaloneDatabase } from "../test/helpers/open-database.js";
import { sharedData } from "../test/helpers/shared-data.js";
import { syncState } from "../test/helpers/sync-state.js";

const DIMENSIONS = 256;
const { values } = parseArgs({ options: { kills: { type: "string", default: "20" } } });

class CountingEmbeddings extends OfflineEmbeddings {
  texts = 0;

  override async embedDocuments(texts: string[]): Promise<number[][]> {
    this.texts += texts.length;
    return super.embedDocuments(texts);
  }
}

let broken = 0;
function promise(name: string, kept: boolean, figures: string): void {
  if (!kept) broken += 1;
  process.stdout.write(`${kept ? "kept  " : "BROKEN"}  ${name}: ${figures}\n`);
}

const sections = sharedData("pgdocs15");
const files = sharedData("loader-docs");
if (sections === undefined || files === undefined) throw new Error("Needs the sets pgdocs15 and loader-docs.");
const database = await openStandaloneDatabase();
if (database.kind !== "server") throw new Error("Needs a PostgreSQL server: set POSTGRES_BIN or TEST_DATABASE_URL.");
const folder = await mkdtemp(join(tmpdir(), "test-ingest-"));
try {
  await writeCorpus(folder);
  const embeddings = new CountingEmbeddings({ dimensions: DIMENSIONS });
  const open = (tableName: string): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(embeddings, { pool: database.pool, tableName });
  const sync = async (store: PostgresVectorStore): Promise<SyncResult & { seconds: number }> => {
    const started = performance.now();
    const result = await syncDocuments(store, ".", { cwd: folder });
    return { ...result, seconds: (performance.now() - started) / 1_000 };
  };

  const store = await open("ingest_store");
  const first = await sync(store);
  promise(
    "every file yields text",
    first.skipped === 0 && (await store.sources.find(await names(store))).every(({ chunkIds }) => chunkIds.length > 0),
    `${first.files} files, ${first.chunks} chunks, ${first.embedded} embedded in ${first.seconds.toFixed(1)} s`,
  );
  const wrong = await wrongOffsets(store);
  promise("offsets reproduce every chunk", wrong === 0, `${wrong} of ${first.chunks} differ`);

  const written = await rowVersions();
  embeddings.texts = 0;
  const second = await sync(store);
  const unwritten = (await rowVersions()) === written;
  promise(
    "a second run embeds and writes nothing",
    embeddings.texts === 0 && unwritten,
    `${embeddings.texts} embedded, rows ${unwritten ? "as they were" : "written"}`,
  );
  const share = second.seconds / first.seconds;
  promise(
    "in less than a tenth of the time",
    share < 0.1,
    `${second.seconds.toFixed(2)} s, ${(100 * share).toFixed(1)} %`,
  );

  const changed = await changeSome(folder, 0.05);
  embeddings.texts = 0;
  const third = await sync(store);
  promise(
    "of 5 % changed files, only the changed chunks are embedded",
    third.unchanged === first.files - changed && embeddings.texts === changed,
    `${changed} files with one changed chunk each, ${embeddings.texts} embedded in ${third.seconds.toFixed(1)} s`,
  );

  const clean = await open("ingest_clean");
  await sync(clean);
  const wanted = JSON.stringify(await syncState(clean));
  promise("the state is that of one clean run", JSON.stringify(await syncState(store)) === wanted, "after the change");

  await open("ingest_killed");
  let finished = 0;
  let reached: string[] = [];
  for (let kill = 0; kill < Number(values.kills); kill += 1) {
    const ended = await runAndKill("ingest_killed", folder, Math.random() * 1_200);
    if (ended) finished += 1;
    const { rows } = await database.newPool({ max: 1 }).query<{ n: string }>("select count(*) as n from ingest_killed");
    reached = [...reached, rows[0]!.n];
  }
  const killed = await open("ingest_killed");
  await sync(killed);
  promise(
    `kill -9 ${values.kills} times at random points, then one run`,
    JSON.stringify(await syncState(killed)) === wanted,
    `${finished} of them had ended before; chunks after each: ${reached.join(" ")}`,
  );

  const shared = await open("ingest_shared");
  await Promise.all([sync(shared), sync(await open("ingest_shared"))]);
  promise("two runs at once", JSON.stringify(await syncState(shared)) === wanted, "the same state as one");

  async function wrongOffsets(of: PostgresVectorStore): Promise<number> {
    const texts = new Map<string, string>();
    for await (const { pageContent, metadata } of loadDocuments(".", { cwd: folder })) {
      texts.set(placeOf(metadata), pageContent);
    }
    const chunks = await of.get();
    return chunks.filter(({ content, metadata }) => {
      const { start, end } = metadata!["offset"] as { start: number; end: number };
      return texts.get(placeOf(metadata!))?.slice(start, end) !== content;
    }).length;
  }

  async function rowVersions(): Promise<string> {
    const { rows } = await database.newPool({ max: 1 }).query(
      `select md5(string_agg(v, ',' order by v)) as all from (
         select id || xmin::text || ctid::text as v from ingest_store
         union all select source || xmin::text || ctid::text from ingest_store_sources
       ) as rows`,
    );
    return (rows[0] as { all: string }).all;
  }

  async function runAndKill(tableName: string, cwd: string, afterMs: number): Promise<boolean> {
    const job = { url: database.url, args: { tableName }, dimensions: DIMENSIONS, folder: cwd, options: {} };
    const child = spawn(
      process.execPath,
      ["--import", "tsx", join(import.meta.dirname, "../test/helpers/sync-child.ts"), JSON.stringify(job)],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const exited = once(child, "exit");
    const begun = async (): Promise<void> => {
      for await (const line of createInterface(child.stdout)) if (Number(line) > 0) return;
    };
    await Promise.race([begun(), exited]);
    await Promise.race([sleep(afterMs), exited]);
    child.kill("SIGKILL");
    await exited;
    return child.signalCode === null;
  }
} finally {
  await rm(folder, { recursive: true });
  await database.close();
}
process.exit(broken === 0 ? 0 : 1);

/** A file for each section of the manual, and the files of every format beside them. */
async function writeCorpus(target: string): Promise<void> {
  await cp(files!, join(target, "files"), { recursive: true });
  const lines = (await readFile(join(sections!, "corpus.jsonl"), "utf8")).trimEnd().split("\n");
  for (const [index, line] of lines.entries()) {
    const { title, text } = JSON.parse(line) as { title: string; text: string };
    const place = join(target, "sections", String(index % 50));
    if (index < 50) await mkdir(place, { recursive: true });
    await writeFile(join(place, `${index}.md`), `# ${title}\n\n${text}\n`);
  }
}

/** Puts a sentence of its own behind the last of every so many sections. @returns how many. */
async function changeSome(target: string, share: number): Promise<number> {
  let changed = 0;
  for (let index = 0; index < 3_747; index += Math.round(1 / share)) {
    const path = join(target, "sections", String(index % 50), `${index}.md`);
    const text = await readFile(path, "utf8");
    // Words of the same length, so that the cuts between chunks stay where they were.
    const before = /\S+(?=\s*$)/.exec(text)!;
    await writeFile(
      path,
      `${text.slice(0, before.index)}${"z".repeat(before[0].length)}${text.slice(before.index + before[0].length)}`,
    );
    changed += 1;
  }
  return changed;
}

async function names(store: PostgresVectorStore): Promise<string[]> {
  const found: string[] = [];
  for await (const { source } of store.sources.list()) found.push(source);
  return found;
}

function placeOf(metadata: Readonly<Record<string, unknown>>): string {
  const { source, row, chapter, loc } = metadata as {
    source: string;
    row?: number;
    chapter?: number;
    loc?: { pageNumber?: number };
  };
  return `${source} ${row ?? ""} ${chapter ?? ""} ${loc?.pageNumber ?? ""}`;
}
