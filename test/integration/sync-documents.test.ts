import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { OfflineEmbeddings } from "../../src/embeddings/offline.js";
import { ConfigurationError, LoadError, PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import { loadDocuments, syncDocuments, type SyncOptions, type SyncResult } from "../../src/loaders/index.js";
import {
  describeServer,
  openServerDatabase,
  openTestDatabase,
  testSchema,
  type ServerTestDatabase,
  type TestDatabase,
} from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { syncState } from "../helpers/sync-state.js";

const DIMENSIONS = 32;
const root = join(import.meta.dirname, "../..");

/** Counts what it embeds, and can fail or wait. */
class WatchedEmbeddings extends OfflineEmbeddings {
  texts: string[] = [];
  before: () => Promise<void> | void = () => {};

  constructor() {
    super({ dimensions: DIMENSIONS });
  }

  override async embedDocuments(texts: string[]): Promise<number[][]> {
    await this.before();
    this.texts.push(...texts);
    return super.embedDocuments(texts);
  }
}

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sync-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function put(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
}

/** A page of sections of their own, each a chunk. */
function page(title: string, sections: number): string {
  const text = (n: number): string => `${title} says of part ${n} what no other part says. `.repeat(12);
  return Array.from({ length: sections }, (_, n) => `## ${title} ${n}\n\n${text(n)}\n`).join("\n");
}

const PAGES = {
  "a.md": page("Alpha", 4),
  "b/c.md": page("Gamma", 6),
  "b/d.txt": "A short note about vacuum.",
  "e.csv": "name,role\nAda,analyst\nGrace,admiral\n",
};

describe("syncDocuments", () => {
  let database: TestDatabase;
  let tables = 0;
  let embeddings: WatchedEmbeddings;

  beforeAll(async () => {
    database = await openTestDatabase();
  });
  afterAll(() => database.close());
  beforeEach(() => {
    embeddings = new WatchedEmbeddings();
  });

  const open = (args: PostgresVectorStoreArgs = {}): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(embeddings, {
      pool: database.pool,
      tableName: `sync_${(tables += 1)}`,
      ...testSchema(),
      ...args,
    });
  const sync = (store: PostgresVectorStore, options: SyncOptions = {}, source = "."): Promise<SyncResult> =>
    syncDocuments(store, source, { cwd: folder, ...options });

  it("stores chunks that are slices of their sources", async () => {
    await put(PAGES);
    const store = await open();
    const result = await sync(store);
    expect(result).toMatchObject({ files: 4, unchanged: 0, chunks: 13, embedded: 13, removed: 0, skipped: 0 });
    const texts = new Map<string, string>();
    for await (const document of loadDocuments(".", { cwd: folder })) {
      texts.set(`${document.metadata["source"]}:${document.metadata["row"] ?? ""}`, document.pageContent);
    }
    const chunks = await store.get();
    expect(chunks).toHaveLength(13);
    for (const { content, metadata } of chunks) {
      const { source, row, offset } = metadata as {
        source: string;
        row?: number;
        offset: { start: number; end: number };
      };
      expect(texts.get(`${source}:${row ?? ""}`)!.slice(offset.start, offset.end)).toBe(content);
    }
    expect(new Set(chunks.map(({ metadata }) => (metadata!["fields"] as { name: string } | undefined)?.name))).toEqual(
      new Set([undefined, "Ada", "Grace"]),
    );
  });

  it("embeds and writes nothing in a second run, under tenancy too", async () => {
    await put(PAGES);
    const store = await open({ tenancy: "rls", tenantId: "a" });
    await sync(store);
    const before = await rowVersions(store);
    embeddings.texts = [];
    expect(await sync(store)).toMatchObject({ files: 4, unchanged: 4, chunks: 13, embedded: 0, removed: 0 });
    expect(embeddings.texts).toEqual([]);
    expect(await rowVersions(store)).toEqual(before);
    expect(await sync(store.forTenant("b"))).toMatchObject({ unchanged: 0, embedded: 13 });
    expect(await rowVersions(store)).toEqual(before);
  });

  /** Which transaction wrote each row, of chunks and sources. */
  async function rowVersions(store: PostgresVectorStore): Promise<unknown> {
    const table = store.tableName;
    const schema = testSchema().schemaName;
    const on = (name: string): string => (schema === undefined ? `"${name}"` : `"${schema}"."${name}"`);
    const client = await database.pool.connect();
    const { rows } = await client.query({
      text: `select id as name, xmin::text from ${on(table)} where tenant_id in ('a', 'default')
        union all select source, xmin::text from ${on(`${table}_sources`)} where tenant_id in ('a', 'default') order by 1`,
    });
    client.release();
    return rows;
  }

  it("embeds only the chunks of changed text, and gives the others their new lines", async () => {
    await put(PAGES);
    const store = await open();
    await sync(store);
    embeddings.texts = [];
    await put({ "b/c.md": PAGES["b/c.md"].replace("of part 3 what", "of part 3, newly, what") });
    expect(await sync(store)).toMatchObject({ unchanged: 3, embedded: 1, removed: 1, chunks: 13 });
    expect(embeddings.texts).toHaveLength(1);
    expect(embeddings.texts[0]).toMatch(/^## Gamma 3/);
    embeddings.texts = [];
    await put({ "a.md": `Preface.\n\n${PAGES["a.md"]}` });
    await sync(store);
    const fresh = await open();
    await sync(fresh);
    expect(await syncState(store)).toEqual(await syncState(fresh));
  });

  it("moves the vectors of renamed and copied files, and embeds nothing", async () => {
    await put(PAGES);
    const store = await open();
    await sync(store);
    embeddings.texts = [];
    await rename(join(folder, "b"), join(folder, "moved"));
    await put({ "copy.md": PAGES["a.md"] });
    expect(await sync(store)).toMatchObject({ files: 5, unchanged: 2, embedded: 0, removedFiles: 2, removed: 7 });
    expect(embeddings.texts).toEqual([]);
    const fresh = await open();
    await sync(fresh);
    expect(await syncState(store)).toEqual(await syncState(fresh));
  });

  it("removes what is gone from the named places, and nothing else", async () => {
    await put({ ...PAGES, "other/x.md": "Another place." });
    const store = await open();
    await sync(store);
    await rm(join(folder, "b"), { recursive: true });
    await rm(join(folder, "other/x.md"));
    expect(await sync(store, { deleted: "keep" })).toMatchObject({ removedFiles: 0 });
    const gone: string[] = [];
    expect(await sync(store, { onRemove: (source) => gone.push(source) }, "other")).toMatchObject({ removedFiles: 1 });
    expect(gone).toEqual(["other/x.md"]);
    expect(await sync(store, {}, "b/*.md")).toMatchObject({ removedFiles: 1, removed: 6 });
    expect(await sync(store, {}, "b")).toMatchObject({ removedFiles: 1, removed: 1 });
    expect(
      (await store.get()).map(({ metadata }) => metadata!["source"]).filter((name) => name === "a.md"),
    ).toHaveLength(4);
    expect(await errorOf(sync(store, {}, "b"))).toBeInstanceOf(LoadError);
  });

  it("keeps what it has of a file that cannot be read any more, and reports it", async () => {
    await put(PAGES);
    const store = await open();
    await sync(store);
    await writeFile(join(folder, "a.md"), Buffer.from(Array.from({ length: 2000 }, (_, index) => index % 32)));
    const skipped: string[] = [];
    expect(await sync(store, { onSkip: ({ source }) => skipped.push(source) })).toMatchObject({
      files: 3,
      skipped: 1,
      removed: 0,
    });
    expect(skipped).toEqual(["a.md"]);
    expect(await store.get({ where: { source: "a.md" } })).toHaveLength(4);
  });

  it("brings back chunks that somebody else has deleted", async () => {
    await put(PAGES);
    const store = await open();
    await sync(store);
    const [chunk] = await store.get({ where: { source: "b/c.md" }, limit: 1 });
    await store.delete({ ids: [chunk!.id] });
    embeddings.texts = [];
    expect(await sync(store)).toMatchObject({ unchanged: 3, embedded: 1 });
    expect(embeddings.texts).toEqual([chunk!.content]);
  });

  it("splits again when the splitting changes, and embeds what is new by that", async () => {
    await put(PAGES);
    const store = await open();
    await sync(store);
    const result = await sync(store, { chunkSize: 300 });
    expect(result.unchanged).toBe(0);
    const fresh = await open();
    await sync(fresh, { chunkSize: 300 });
    expect(await syncState(store)).toEqual(await syncState(fresh));
  });

  it("takes vectors from the cache, whatever became of the chunks, for the model they are of", async () => {
    await put(PAGES);
    const store = await open();
    await sync(store, { cache: true });
    await rm(join(folder, "b"), { recursive: true });
    await sync(store);
    await put({ "new/c.md": `${PAGES["b/c.md"]}\n## More\n\nMore.\n` });
    embeddings.texts = [];
    expect(await sync(store, { cache: true })).toMatchObject({ embedded: 1 });
    expect(embeddings.texts).toEqual(["## More\n\nMore."]);
    expect(await store.sources.clearVectorCache()).toBe(14);
    expect(await store.sources.cachedVectors(["## More\n\nMore."])).toEqual(new Map());
    const cipher = { encrypt: (text: string) => `x${text}`, decrypt: (text: string) => text.slice(1) };
    const encrypted = await open({ contentCipher: cipher });
    expect(await errorOf(sync(encrypted, { cache: true }))).toBeInstanceOf(ConfigurationError);
  });

  it("works with encrypted contents: renames cost nothing, changes are found", async () => {
    await put(PAGES);
    const contentCipher = {
      encrypt: (text: string, { id }: { id: string }) => `${id}:${text}`,
      decrypt: (text: string, { id }: { id: string }) => {
        if (!text.startsWith(`${id}:`)) throw new Error("another row's text");
        return text.slice(id.length + 1);
      },
    };
    const store = await open({ contentCipher });
    await sync(store);
    await rename(join(folder, "b"), join(folder, "moved"));
    expect(await sync(store)).toMatchObject({ embedded: 0, removedFiles: 2 });
    const fresh = await open({ contentCipher });
    await sync(fresh);
    expect(await syncState(store)).toEqual(await syncState(fresh));
  });

  it("goes on where a large source was interrupted, and leaves nothing of a text that is gone by then", async () => {
    await put({ "large.md": page("Large", 30) });
    const store = await open();
    let calls = 0;
    embeddings.before = () => {
      if ((calls += 1) === 3) throw new Error("the embedder is down");
    };
    expect((await errorOf(sync(store, { batchChunks: 10 }))).message).toBe("the embedder is down");
    expect(await store.get()).toHaveLength(20);
    expect(await store.sources.find(["large.md"])).toMatchObject([{ hash: undefined, chunks: 30 }]);
    embeddings.before = () => {};
    await put({ "large.md": page("Large", 30).replaceAll("part 1 ", "part one ").replaceAll("part 25 ", "part x ") });
    embeddings.texts = [];
    expect(await sync(store, { batchChunks: 10 })).toMatchObject({ embedded: 11, chunks: 30 });
    const fresh = await open();
    await sync(fresh, { batchChunks: 10 });
    expect(await syncState(store)).toEqual(await syncState(fresh));
  });

  it("ends in the same state when two runs meet, and when a file changes between them", async () => {
    await put({ ...PAGES, "large.md": page("Large", 30) });
    const store = await open();
    let started = 0;
    let meet: () => void = () => {};
    const met = new Promise<void>((resolve) => (meet = resolve));
    // Both have read the store before either writes.
    embeddings.before = () => {
      if ((started += 1) === 2) meet();
      return met;
    };
    await Promise.all([sync(store, { batchChunks: 10 }), sync(store, { batchChunks: 10 })]);
    const fresh = await open();
    embeddings.before = () => {};
    await sync(fresh, { batchChunks: 10 });
    expect(await syncState(store)).toEqual(await syncState(fresh));

    await put({ "a.md": page("Alpha second", 4), "b/d.txt": "Second." });
    let first = true;
    embeddings.before = async () => {
      if (!first) return;
      first = false;
      await put({ "a.md": page("Alpha third", 3) });
      // Overtakes the run that has read the second text and not written it yet.
      await sync(store, { batchChunks: 10 });
    };
    await sync(store, { batchChunks: 10 });
    const again = await open();
    embeddings.before = () => {};
    await sync(again, { batchChunks: 10 });
    expect(await syncState(store)).toEqual(await syncState(again));
  });

  it("does not take for deleted what another run has found meanwhile", async () => {
    await put(PAGES);
    const store = await open();
    embeddings.before = async () => {
      embeddings.before = () => {};
      await put({ "late.md": page("Late", 2) });
      await sync(store);
    };
    await sync(store);
    expect(await store.get({ where: { source: "late.md" } })).toHaveLength(2);
  });

  it("stops when it is aborted, and the next run completes it", async () => {
    await put({ ...PAGES, "large.md": page("Large", 30) });
    const store = await open();
    const controller = new AbortController();
    const options = { batchChunks: 5, signal: controller.signal };
    const stopped = sync(store, { ...options, onSource: () => controller.abort(new Error("enough")) });
    expect((await errorOf(stopped)).message).toBe("enough");
    await sync(store, { batchChunks: 5 });
    const fresh = await open();
    await sync(fresh, { batchChunks: 5 });
    expect(await syncState(store)).toEqual(await syncState(fresh));
  });

  it("refuses options that cannot work before it reads anything", async () => {
    const store = await open();
    for (const options of [{ chunkSize: 1 }, { batchChunks: 0 }, { maxFileBytes: 0 }, { format: "docs" as "text" }]) {
      expect(await errorOf(sync(store, options, "nowhere"))).toBeInstanceOf(ConfigurationError);
    }
    expect((await errorOf(sync(store, {}, "nowhere"))).message).toMatch(/"nowhere" does not exist/);
  });
});

describeServer("syncDocuments that is killed", () => {
  let database: ServerTestDatabase;
  beforeAll(async () => {
    database = await openServerDatabase();
  });
  afterAll(() => database.close());

  it("is completed by the next run, to the state of one run", async () => {
    const files = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`f${n}.md`, page(`File ${n}`, 5)]));
    await put({ ...files, "large.md": page("Large", 120) });
    const options: SyncOptions = { batchChunks: 20 };
    const open = (tableName: string): Promise<PostgresVectorStore> =>
      PostgresVectorStore.initialize(new OfflineEmbeddings({ dimensions: DIMENSIONS }), {
        pool: database.pool,
        tableName,
        ...testSchema(),
      });
    const clean = await open("kill_clean");
    await syncDocuments(clean, ".", { cwd: folder, ...options });
    const store = await open("kill_9");
    for (const embedded of [140]) {
      const job = {
        url: database.url,
        dimensions: DIMENSIONS,
        folder,
        options,
        args: { tableName: "kill_9", ...testSchema() },
        // However late the kill comes, it meets a run part-way.
        texts: embedded + 20,
      };
      const child = spawn(
        process.execPath,
        ["--import", "tsx", join(root, "test/helpers/sync-child.ts"), JSON.stringify(job)],
        { cwd: root, stdio: ["ignore", "pipe", "inherit"] },
      );
      const exited = once(child, "exit");
      for await (const line of createInterface(child.stdout)) {
        if (!(Number(line) >= embedded)) continue;
        child.kill("SIGKILL");
        break;
      }
      await exited;
      expect(child.signalCode).toBe("SIGKILL");
    }
    const left = await store.get({ include: [] });
    expect(left.length).toBeGreaterThan(0);
    expect(left.length).toBeLessThan(270);
    await syncDocuments(store, ".", { cwd: folder, ...options });
    expect(await syncState(store)).toEqual(await syncState(clean));
    expect(await readFile(join(folder, "large.md"), "utf8")).toBe(page("Large", 120));
  });
});
