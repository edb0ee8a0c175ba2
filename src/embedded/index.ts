export { openEmbeddedPostgres, type EmbeddedOptions } from "./open.js";
export type { EmbeddedPostgres } from "./pool.js";
export type { EmbeddedClient, EmbeddedQuery, EmbeddedReply } from "./session.js";
