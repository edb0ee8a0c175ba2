import sql, { empty } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { administrationSettings } from "../../db/tenant-scope.js";
import { messagesOf } from "../chat-history/messages.js";
import type { OpenStore, ScopedStore } from "../open.js";
import type { ExportedMessage } from "./export-record.js";

/** Reads the messages of a tenant's conversations, in the order of their keys. */
export async function* exportMessages(
  store: OpenStore,
  tenant: string,
  pageRows: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<ExportedMessage> {
  let last: ExportedMessage | undefined;
  for (;;) {
    const behind =
      last === undefined ? empty : sql`and (session, number) > (${last.session}::text, ${last.number}::int8)`;
    const { rows } = await store.database.execute(
      {
        name: "export-messages",
        sql: sql`
          select session, number::float8 as number, message::text as message,
            to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "createdAt"
          from ${messagesOf(store)} where tenant_id = ${tenant}::text ${behind}
          order by session, number limit ${pageRows}::int8`,
      },
      { settings: administrationSettings(tenant), signal },
    );
    const messages = rows.map((row) => ({ type: "message", ...row }) as unknown as ExportedMessage);
    yield* messages;
    last = messages.at(-1);
    if (messages.length < pageRows) return;
  }
}

/** Stores one message of an export, in place of one that is there. */
export async function upsertMessage(store: ScopedStore, session: Session, message: ExportedMessage): Promise<void> {
  await session.execute({
    name: "import-message",
    sql: sql`
      insert into ${messagesOf(store)} (tenant_id, session, number, message, created_at)
      values (
        ${store.tenant}::text, ${message.session}::text, ${message.number}::int8, ${message.message}::jsonb,
        ${message.createdAt}::timestamptz
      )
      on conflict (tenant_id, session, number) do update set
        message = excluded.message, created_at = excluded.created_at`,
  });
}
