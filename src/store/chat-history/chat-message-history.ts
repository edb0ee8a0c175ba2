import { BaseListChatMessageHistory } from "@langchain/core/chat_history";
import {
  mapChatMessagesToStoredMessages,
  mapStoredMessagesToChatMessages,
  type BaseMessage,
} from "@langchain/core/messages";
import { integer } from "../options.js";
import type { ScopedStore } from "../open.js";
import { appendMessages, clearMessages, readMessages } from "./messages.js";
import { checkSession } from "./session.js";

/** Options of `store.chatHistory`. */
export interface ChatHistoryOptions {
  /** Most messages that `getMessages` returns, the latest ones. @defaultValue all */
  maxMessages?: number;
}

/**
 * The messages of one conversation, kept in Postgres beside the store's chunks under the same tenancy: they are read and
 * written in the scope of the store's tenant, and suspended, exported and deleted with it. Made by `store.chatHistory`.
 *
 * A store with a `contentCipher` encrypts them.
 */
export class PostgresChatMessageHistory extends BaseListChatMessageHistory {
  lc_namespace = ["langchain_pgvector", "chat_history"];

  readonly sessionId: string;
  readonly #scoped: () => Promise<ScopedStore>;
  readonly #maxMessages: number | undefined;

  /** @throws ConfigurationError when the session's id cannot be one, or an option is out of range */
  constructor(scoped: () => Promise<ScopedStore>, sessionId: string, options: ChatHistoryOptions = {}) {
    super();
    this.sessionId = checkSession(sessionId);
    this.#scoped = scoped;
    this.#maxMessages = integer("maxMessages", options.maxMessages, 1, 1_000_000);
  }

  /** The messages in the order in which they were added. */
  async getMessages(): Promise<BaseMessage[]> {
    const stored = await readMessages(await this.#scoped(), this.sessionId, this.#maxMessages);
    return mapStoredMessagesToChatMessages(stored);
  }

  /** @throws TenantIsolationError when the tenant is suspended or being deleted */
  async addMessage(message: BaseMessage): Promise<void> {
    await this.addMessages([message]);
  }

  /** Adds all of them or none, next to each other whoever else writes. */
  override async addMessages(messages: BaseMessage[]): Promise<void> {
    if (messages.length === 0) return;
    const stored = mapChatMessagesToStoredMessages(messages);
    await appendMessages(await this.#scoped(), this.sessionId, stored);
  }

  /** Deletes the conversation. */
  override async clear(): Promise<void> {
    await clearMessages(await this.#scoped(), this.sessionId);
  }
}
