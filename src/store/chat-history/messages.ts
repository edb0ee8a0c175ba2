import type { StoredMessage } from "@langchain/core/messages";
import sql, { empty, type Sql } from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import { qualified } from "../../db/identifiers.js";
import { pause } from "../../db/pause.js";
import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { messagesTable } from "../../schema/layout.js";
import { decryptContents, encryptRows } from "../content-cipher.js";
import type { OpenStore, ScopedStore } from "../open.js";
import { explainRefusal } from "../tenants/refusal.js";
import { registerTenant } from "../upsert.js";

/** Writers of one conversation that may get in each other's way before one gives up. */
const MAX_ATTEMPTS = 20;

/** The table of messages, as a fragment. */
export function messagesOf(store: OpenStore): Sql {
  return qualified(store.schema, messagesTable(store.options.layout));
}

/** The latest messages of a conversation, oldest first. */
export async function readMessages(
  store: ScopedStore,
  session: string,
  limit: number | undefined,
): Promise<StoredMessage[]> {
  const { rows } = await store.database.execute(
    {
      name: "read-messages",
      sql: sql`
        select message from ${messagesOf(store)}
        where tenant_id = ${store.tenant}::text and session = ${session}::text
        order by number desc ${limit === undefined ? empty : sql`limit ${limit}::int8`}`,
    },
    { settings: store.settings },
  );
  const stored = rows.map((row) => row["message"] as StoredMessage | string).toReversed();
  // Encrypted messages are texts.
  const texts = stored.filter((message) => typeof message === "string").map((content) => ({ id: session, content }));
  if (texts.length === 0) return stored as StoredMessage[];
  const plain = await decryptContents(store.options.contentCipher, store.tenant, texts);
  return stored.map((message) => (typeof message === "string" ? JSON.parse(plain.shift()!) : message) as StoredMessage);
}

/**
 * Appends messages in one statement.
 *
 * @throws TenantIsolationError when the tenant is suspended or being deleted
 */
export async function appendMessages(
  store: ScopedStore,
  session: string,
  messages: readonly StoredMessage[],
): Promise<void> {
  const texts = await encryptedTexts(store, session, messages);
  const statement = {
    name: "append-messages",
    sql: sql`
      ${registerTenant(store)}
      insert into ${messagesOf(store)} (tenant_id, session, number, message)
      select ${store.tenant}::text, ${session}::text, last.number + row.place, row.message::jsonb
      from unnest(${new TextArrayParameter(texts)}::text[]) with ordinality as row (message, place)
      cross join (
        select coalesce(max(number), 0) as number from ${messagesOf(store)}
        where tenant_id = ${store.tenant}::text and session = ${session}::text
      ) as last`,
  };
  for (let attempt = 1; ; attempt += 1) {
    try {
      await store.database.execute(statement, { settings: store.settings });
      return;
    } catch (error) {
      // Another writer of the same conversation took the numbers.
      const retry = sqlstateOf(error) === SQLSTATE.uniqueViolation && attempt < MAX_ATTEMPTS;
      if (!retry) throw await explainRefusal(store, error);
      await pause(Math.random() * 5 * attempt, undefined);
    }
  }
}

/** Deletes a conversation. */
export async function clearMessages(store: ScopedStore, session: string): Promise<void> {
  await store.database.execute(
    {
      name: "clear-messages",
      sql: sql`
        delete from ${messagesOf(store)} where tenant_id = ${store.tenant}::text and session = ${session}::text`,
    },
    { settings: store.settings },
  );
}

/** JSON of each message; with a cipher, the JSON of its encrypted text. */
async function encryptedTexts(
  store: ScopedStore,
  session: string,
  messages: readonly StoredMessage[],
): Promise<string[]> {
  const texts = messages.map((message) => JSON.stringify(message, storable));
  const { contentCipher } = store.options;
  if (contentCipher === undefined) return texts;
  const rows = texts.map((content) => ({ id: session, content, metadata: "{}", contentHash: new Uint8Array() }));
  const encrypted = await encryptRows(contentCipher, store.tenant, rows);
  return encrypted.map(({ content }) => JSON.stringify(content));
}

/** Postgres has no NUL, and no half of a surrogate pair. */
function storable(_key: string, value: unknown): unknown {
  return typeof value === "string" ? value.replaceAll("\0", "").toWellFormed() : value;
}
