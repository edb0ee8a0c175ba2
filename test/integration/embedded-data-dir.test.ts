import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openEmbeddedPostgres } from "../../src/embedded/index.js";

let folder: string;
let child: ChildProcess | undefined;

beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), "langchain-pgvector-embedded-")), "nested/data dir");
});

afterEach(async () => {
  child?.kill("SIGKILL");
  child = undefined;
  await rm(join(folder, "../.."), { recursive: true, force: true });
});

/** Another process that opens the folder, inserts a row, and stays. */
async function openElsewhere(): Promise<ChildProcess> {
  const script = `
    import { openEmbeddedPostgres } from ${JSON.stringify(new URL("../../src/embedded/index.ts", import.meta.url).href)};
    const pool = await openEmbeddedPostgres({ dataDir: ${JSON.stringify(folder)} });
    await pool.query("create table if not exists note (body text); insert into note values ('from elsewhere')");
    process.stdout.write("open\\n");
    setInterval(() => {}, 1000);`;
  child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise<void>((resolve, reject) => {
    child?.stdout?.once("data", () => resolve());
    child?.once("exit", (code) => reject(new Error(`the other process ended with ${code}`)));
  });
  return child;
}

test("a folder is made, kept and opened again", async () => {
  const first = await openEmbeddedPostgres({ dataDir: folder });
  expect(first.dataDir).toBe(folder);
  await first.query("create extension vector; create table note (body text); insert into note values ('kept')");
  await first.end();
  expect((await readdir(folder)).toSorted()).toEqual(["pgdata"]);
  const second = await openEmbeddedPostgres({ dataDir: folder });
  expect((await second.query("select body, '[1]'::vector as v from note")).rows).toEqual([{ body: "kept", v: "[1]" }]);
  await second.end();
});

test("a second process is refused, and a killed one is taken over from", async () => {
  const other = await openElsewhere();
  const refusal: unknown = await openEmbeddedPostgres({ dataDir: folder }).catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: "CONFIGURATION" });
  expect(String(refusal)).toContain(folder);
  expect(String(refusal)).toContain(`process ${other.pid}`);

  const killed = new Promise((resolve) => other.once("exit", resolve));
  other.kill("SIGKILL");
  await killed;
  const takers = await Promise.allSettled([1, 2, 3].map(() => openEmbeddedPostgres({ dataDir: folder })));
  const opened = takers.flatMap((taker) => (taker.status === "fulfilled" ? [taker.value] : []));
  expect(opened).toHaveLength(1);
  expect((await readdir(folder)).toSorted()).toEqual(["lock", "owner.json", "pgdata"]);
  expect((await opened[0]?.query("select body from note"))?.rows).toEqual([{ body: "from elsewhere" }]);
  await opened[0]?.end();
});

test("the same process is refused too, until the first one ends", async () => {
  const first = await openEmbeddedPostgres({ dataDir: folder });
  await expect(openEmbeddedPostgres({ dataDir: folder })).rejects.toThrow(/in use by this process/);
  await first.end();
  await (await openEmbeddedPostgres({ dataDir: folder })).end();
});

test("a lock from before a restart of the machine is taken over, one of another machine is not", async () => {
  await (await openEmbeddedPostgres({ dataDir: folder })).end();
  const lock = join(folder, "lock");
  const leave = async (owner: object): Promise<void> => {
    await mkdir(lock, { recursive: true });
    const aMinuteAgo = new Date(Date.now() - 60_000);
    await utimes(lock, aMinuteAgo, aMinuteAgo);
    await writeFile(join(folder, "owner.json"), JSON.stringify(owner));
  };
  await leave({ pid: 1, host: "another-machine.example", since: Date.now() });
  await expect(openEmbeddedPostgres({ dataDir: folder })).rejects.toThrow(/process 1 on another-machine.example/);
  const { hostname } = await import("node:os");
  await leave({ pid: process.ppid, host: hostname(), since: 1_000_000 });
  await (await openEmbeddedPostgres({ dataDir: folder })).end();
});

test("losing the lock stops the pool", async () => {
  const pool = await openEmbeddedPostgres({ dataDir: folder });
  await rm(join(folder, "lock"), { recursive: true });
  await expect
    .poll(
      () =>
        pool
          .query("select 1")
          .then(() => "works")
          .catch((error: unknown) => String(error)),
      { timeout: 15_000 },
    )
    .toMatch(/lock of .* was removed/);
  await pool.end();
});

test("a half-made cluster of a killed first start is made again", async () => {
  await mkdir(join(folder, "pgdata.new"), { recursive: true });
  await writeFile(join(folder, "pgdata.new/PG_VERSION"), "18\n");
  const pool = await openEmbeddedPostgres({ dataDir: folder });
  expect((await pool.query("select 1 as n")).rows).toEqual([{ n: 1 }]);
  await pool.end();
});

test("a folder that cannot serve is refused by name", async () => {
  await expect(openEmbeddedPostgres({ dataDir: " " })).rejects.toMatchObject({ code: "CONFIGURATION" });
  await mkdir(join(folder, ".."), { recursive: true });
  await writeFile(folder, "a file");
  await expect(openEmbeddedPostgres({ dataDir: folder })).rejects.toThrow(folder);
  expect(await readFile(folder, "utf8")).toBe("a file");
  await rm(folder);
  await mkdir(join(folder, "pgdata"), { recursive: true });
  await writeFile(join(folder, "pgdata/PG_VERSION"), "9.6\n");
  await expect(openEmbeddedPostgres({ dataDir: folder })).rejects.toMatchObject({ code: "CONFIGURATION" });
  expect((await readdir(folder)).toSorted()).toEqual(["pgdata"]);
});
