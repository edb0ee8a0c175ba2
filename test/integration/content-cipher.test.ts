import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ConfigurationError,
  ContentCipherError,
  PostgresVectorStore,
  type ContentCipher,
  type PostgresVectorStoreArgs,
} from "../../src/index.js";
import { describeServer, openEmbeddedDatabase, openServerDatabase, testSchema } from "../helpers/database.js";
import type { TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { recordQueries } from "../helpers/recorded-queries.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

// Word for word the example of docs/tenancy.md.
function aes256gcm(key: Buffer): ContentCipher {
  return {
    encrypt(text, { tenantId, id }) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(JSON.stringify([tenantId, id])));
      const body = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString("base64");
    },
    decrypt(text, { tenantId, id }) {
      const sealed = Buffer.from(text, "base64");
      const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, 12), { authTagLength: 16 })
        .setAAD(Buffer.from(JSON.stringify([tenantId, id])))
        .setAuthTag(sealed.subarray(12, 28));
      return Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()]).toString("utf8");
    },
  };
}

const KEY = randomBytes(32);
const TEXTS = {
  kite: "A kite needs wind to rise.",
  sail: "A sail needs wind from the side. Grüße 👋",
  empty: "",
};
const documents = Object.entries(TEXTS).map(([id, pageContent]) => ({ id, pageContent, metadata: { kind: id } }));

let tables = 0;

function suite(open: () => Promise<TestDatabase>): void {
  let database: TestDatabase;
  let config: PostgresVectorStoreArgs;

  beforeAll(async () => {
    database = await open();
  });

  afterAll(() => database.close());

  const openStore = (args: PostgresVectorStoreArgs = {}): Promise<PostgresVectorStore> => {
    config = { pool: database.pool, tableName: `sealed_${(tables += 1)}`, ...testSchema(), ...args };
    return PostgresVectorStore.initialize(new HashedEmbeddings(), config);
  };

  /** The same table with other options. */
  const reopen = (args: PostgresVectorStoreArgs): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(new HashedEmbeddings(), { ...config, ...args });

  const raw = async (store: PostgresVectorStore, text: string, values: unknown[] = []) => {
    const client = await database.pool.connect();
    try {
      return (await client.query({ text: text.replace("chunks", store.computedTableName), values })).rows;
    } finally {
      client.release();
    }
  };

  it("stores no plain text and gives it back by every method", async () => {
    const store = await openStore({ contentCipher: aes256gcm(KEY) });
    await store.addDocuments(documents);
    const rows = await raw(store, "select id, text, content_hash, metadata from chunks order by id");
    expect(rows).toHaveLength(3);
    for (const row of rows) {
      const text = row["text"] as string;
      const plain = TEXTS[row["id"] as keyof typeof TEXTS];
      const digest = (of: string): Buffer => createHash("sha256").update(of).digest();
      expect(Buffer.from(row["content_hash"] as Uint8Array)).toEqual(digest(text));
      expect(Buffer.from(row["content_hash"] as Uint8Array)).not.toEqual(digest(plain));
      expect(inspect(row)).not.toMatch(/wind|needs|Grüße/);
      expect(Buffer.from(text, "base64").toString("latin1")).not.toContain("wind");
      expect(row["metadata"]).toEqual({ kind: row["id"] });
    }

    const found = (ids: { id?: string; pageContent: string }[]): unknown => ids.map((d) => [d.id, d.pageContent]);
    const nearest = [
      ["kite", TEXTS.kite],
      ["sail", TEXTS.sail],
    ];
    const query = TEXTS.kite;
    const vector = await new HashedEmbeddings().embedQuery(query);
    expect(found((await store.search(query, { k: 2 })).map((hit) => hit.document))).toEqual(nearest);
    expect(found(await store.similaritySearch(query, 2))).toEqual(nearest);
    expect(found((await store.similaritySearchWithScore(query, 2)).map(([d]) => d))).toEqual(nearest);
    expect(found((await store.similaritySearchVectorWithScore(vector, 2)).map(([d]) => d))).toEqual(nearest);
    expect(found((await store.similaritySearchVectorWithScores(vector, 2)).map(([d]) => d))).toEqual(nearest);
    expect(found(await store.maxMarginalRelevanceSearch(query, { k: 2, lambda: 1 }))).toEqual(nearest);
    expect(found(await store.asRetriever({ k: 2 }).invoke(query))).toEqual(nearest);
    expect(found(await store.asRetriever({ k: 2, searchType: "mmr" }).invoke(query))).toHaveLength(2);
    expect(found(await store.getByIds(["sail", "empty", "kite"]))).toEqual([
      ["sail", TEXTS.sail],
      ["empty", ""],
      ["kite", TEXTS.kite],
    ]);
    expect(await store.get({ ids: ["sail"], include: ["documents"] })).toEqual([{ id: "sail", content: TEXTS.sail }]);
    expect(await store.get({ where: { kind: "kite" } })).toEqual([
      { id: "kite", content: TEXTS.kite, metadata: { kind: "kite" } },
    ]);
  });

  it("keeps vectors as a plain store has them, so that distances are the same", async () => {
    const sealed = await openStore({ contentCipher: aes256gcm(KEY) });
    const plain = await openStore();
    await sealed.addDocuments(documents);
    await plain.addDocuments(documents);
    const scores = async (store: PostgresVectorStore) => (await store.search("wind", { k: 3 })).map((hit) => hit.score);
    expect(await scores(sealed)).toEqual(await scores(plain));
  });

  it("encrypts the vectors' documents of addVectors and the second version of a document too", async () => {
    const store = await openStore({ contentCipher: aes256gcm(KEY) });
    const vectors = await new HashedEmbeddings().embedDocuments(["first", "second"]);
    await store.addVectors([vectors[0]!], [{ id: "a", pageContent: "first", metadata: {} }]);
    const [before] = await raw(store, "select text, content_hash from chunks");
    await store.addVectors([vectors[0]!], [{ id: "a", pageContent: "first", metadata: {} }]);
    const [after] = await raw(store, "select text, content_hash from chunks");
    // Equal texts must not show as equal.
    expect(after!["text"]).not.toBe(before!["text"]);
    expect(after!["content_hash"]).not.toEqual(before!["content_hash"]);
    expect(await store.getByIds(["a"])).toMatchObject([{ pageContent: "first" }]);
  });

  it("refuses a wrong key, a changed text and a text moved to another row, and quotes neither text nor key", async () => {
    const store = await openStore({ contentCipher: aes256gcm(KEY) });
    await store.addDocuments(documents);
    const [row] = await raw(store, "select text from chunks where id = 'kite'");
    const ciphertext = row!["text"] as string;
    const check = async (call: Promise<unknown>, id: string): Promise<void> => {
      const error = await errorOf(call);
      expect(error).toBeInstanceOf(ContentCipherError);
      expect(error).toMatchObject({ code: "CONTENT_CIPHER", id });
      expect(error.message).toContain(JSON.stringify(id));
      expect(error.message).toMatch(/key it was written with/);
      const shown = inspect(error, { depth: 9 });
      for (const secret of [ciphertext, ciphertext.slice(0, 20), KEY.toString("hex"), KEY.toString("base64"), "wind"]) {
        expect(shown).not.toContain(secret);
      }
    };
    const other = await reopen({ contentCipher: aes256gcm(randomBytes(32)) });
    await check(other.getByIds(["kite"]), "kite");
    await check(other.search(TEXTS.kite, { k: 1 }), "kite");
    await check(other.maxMarginalRelevanceSearch(TEXTS.kite, { k: 1 }), "kite");

    await raw(store, "update chunks set text = $1 where id = 'sail'", [ciphertext]);
    await check(store.getByIds(["sail"]), "sail");
    const changed = Buffer.from(ciphertext, "base64");
    changed[changed.length - 1]! ^= 1;
    await raw(store, "update chunks set text = $1 where id = 'kite'", [changed.toString("base64")]);
    await check(store.getByIds(["kite"]), "kite");
    // The others can still be read, and the damaged one written again.
    expect(await store.get({ ids: ["kite"], include: ["metadatas"] })).toHaveLength(1);
    await store.addDocuments([documents[0]!]);
    expect(await store.getByIds(["kite"])).toMatchObject([{ pageContent: TEXTS.kite }]);
  });

  it("says what to do about rows from before encryption", async () => {
    const plain = await openStore();
    await plain.addDocuments(documents);
    const store = await reopen({ contentCipher: aes256gcm(KEY) });
    expect((await errorOf(store.getByIds(["sail"]))).message).toContain("stored before `contentCipher` was set");
  });

  it("keeps the order of rows whatever time each takes, and runs at most 16 at once", async () => {
    let running = 0;
    let most = 0;
    const slowly = async (text: string): Promise<string> => {
      most = Math.max(most, (running += 1));
      await sleep(Math.random() * 5);
      running -= 1;
      return text.split("").toReversed().join("");
    };
    const store = await openStore({ contentCipher: { encrypt: slowly, decrypt: slowly }, chunkSize: 7 });
    const many = Array.from({ length: 60 }, (_, i) => ({
      id: String(i).padStart(3, "0"),
      pageContent: `t${i}`,
      metadata: {},
    }));
    await store.addDocuments(many);
    expect(most).toBe(16);
    most = 0;
    const chunks = await store.get();
    expect(chunks.map(({ id, content }) => [id, content])).toEqual(many.map((d) => [d.id, d.pageContent]));
    expect(most).toBe(16);
    expect((await raw(store, "select text from chunks where id = '012'"))[0]).toEqual({ text: "21t" });
  });

  it("stores nothing when one text cannot be encrypted, or comes out as something that cannot be stored", async () => {
    const encrypt = (text: string): string => {
      if (text === "fail") throw new Error("no key");
      return text === "odd" ? "a\0b" : text === "number" ? (7 as unknown as string) : `x${text}`;
    };
    const store = await openStore({ contentCipher: { encrypt, decrypt: (text) => text.slice(1) } });
    for (const bad of ["fail", "odd", "number"]) {
      const error = await errorOf(
        store.addDocuments([
          { id: "good", pageContent: "good", metadata: {} },
          { id: bad, pageContent: bad, metadata: {} },
        ]),
      );
      expect(error).toBeInstanceOf(ContentCipherError);
      expect(error).toMatchObject({ id: bad });
    }
    expect(await store.get()).toEqual([]);
  });

  it("refuses to look into the text, and what is no cipher", async () => {
    const store = await openStore({ contentCipher: aes256gcm(KEY) });
    const error = await errorOf(store.get({ whereDocument: { $contains: "wind" } }));
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error.message).toMatch(/whereDocument .* ciphertext/);
    for (const contentCipher of [{}, null, "aes", { encrypt: () => "" }]) {
      expect(() => new PostgresVectorStore(new HashedEmbeddings(), { ...config, contentCipher } as never)).toThrow(
        ConfigurationError,
      );
    }
  });

  it("tells the cipher tenant and id, also for a view of one tenant", async () => {
    const seen: string[] = [];
    const contentCipher: ContentCipher = {
      encrypt: (text, context) => (seen.push(`+${context.tenantId}/${context.id}`), text),
      decrypt: (text, context) => (seen.push(`-${context.tenantId}/${context.id}`), text),
    };
    const store = await openStore({ contentCipher, tenancy: "rls" });
    await store.forTenant("a").addDocuments([{ id: "1", pageContent: "one", metadata: {} }]);
    await store.forTenant(2).addDocuments([{ id: "1", pageContent: "two", metadata: {} }]);
    await store.forTenant(2).search("two");
    expect(seen).toEqual(["+a/1", "+2/1", "-2/1"]);
  });
}

it("is tested with the cipher that the guide shows", () => {
  const read = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");
  const [example] = /^function aes256gcm[\s\S]*?^}\n/m.exec(read("content-cipher.test.ts"))!;
  expect(read("../../docs/tenancy.md")).toContain(example);
});

describe("content cipher on the embedded database", () => {
  suite(openEmbeddedDatabase);
});

describeServer("content cipher on a server", () => {
  suite(openServerDatabase);

  it("calls the cipher in no transaction and with no connection taken", async () => {
    const database = await openServerDatabase();
    try {
      const pool = database.newPool({ max: 1 });
      const queries = recordQueries(pool);
      let open = 0;
      pool.on("acquire", () => (open += 1));
      pool.on("release", () => (open -= 1));
      const states: number[] = [];
      const pass = async (text: string): Promise<string> => {
        states.push(open);
        // With a pool of one this would wait for ever if the store held the connection.
        await pool.query("select 1");
        return text;
      };
      const store = await PostgresVectorStore.initialize(new HashedEmbeddings(), {
        pool,
        tableName: "outside",
        contentCipher: { encrypt: pass, decrypt: pass },
        ...testSchema(),
      });
      queries.length = 0;
      await store.addDocuments([{ id: "1", pageContent: "one", metadata: {} }]);
      const order = queries.map((query) => query.text).filter((text) => /^(begin|commit|select 1)$/.test(text));
      expect(order).toEqual(["select 1", "begin", "commit"]);
      await store.search("one");
      await store.getByIds(["1"]);
      expect(states).toEqual([0, 0, 0]);
    } finally {
      await database.close();
    }
  });
});
