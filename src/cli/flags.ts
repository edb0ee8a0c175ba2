import { type Command, InvalidArgumentError, Option } from "commander";
import type { PromotedType } from "../schema/promoted-keys.js";

/** Names of a table's columns, as `--columns` gives them. */
export interface ColumnNames {
  readonly id?: string;
  readonly content?: string;
  readonly metadata?: string;
  readonly embedding?: string;
}

/** How patient to be with model servers. */
export interface PatienceFlags {
  readonly timeout?: number;
  readonly retries?: number;
}

/** Adds the flags that say which database, schema, table and collection. */
export function addTargetFlags(command: Command): Command {
  return command
    .option("--database-url <url>", "Postgres to use (environment: DATABASE_URL)")
    .option("--schema <name>", "schema of the table (default: where the search path finds it)")
    .option("--table <name>", "table of chunks (default: langchain_chunks)")
    .option(
      "--columns <names>",
      "its columns (default: id=id,content=text,metadata=metadata,embedding=embedding)",
      columns,
    )
    .option("--collection <name>", "collection within the table")
    .option("--collection-table <name>", "table of collections (default: <table>_collections)");
}

/** Adds the flags that say for which tenant, and whether the table keeps tenants apart. */
export function addTenancyFlags(command: Command): Command {
  return command
    .option("--tenant <id>", "the tenant to work for; the table keeps tenants apart (--tenancy rls)")
    .addOption(
      new Option("--tenancy <mode>", "whether the table keeps tenants apart (default: off)").choices(["off", "rls"]),
    )
    .option("--app-role <name>", "role of the application (default with tenancy: langchain_pgvector_app)");
}

/** Adds the flags that choose the embedder. */
export function addEmbeddingFlags(command: Command): Command {
  return command
    .option("--embeddings <model>", "offline, openai, ollama, openai:<model> or ollama:<model>")
    .option("--base-url <url>", "OpenAI-compatible or Ollama server (environment: OPENAI_BASE_URL, OLLAMA_HOST)")
    .option("--api-key <key>", "better: the environment variable OPENAI_API_KEY, which other users cannot see")
    .option(
      "--timeout <seconds>",
      "how long one request to a model server may take (default: 60, Ollama 120)",
      atLeast(1),
    )
    .option(
      "--retries <number>",
      "further attempts when a request fails for a reason that may pass (default: 5)",
      atLeast(0),
    );
}

/** Adds the flag that chooses the distance of a store that is to be made. */
export function addDistanceFlag(command: Command): Command {
  return command.addOption(
    new Option("--distance <metric>", "how vectors are compared (default: cosine)").choices([
      "cosine",
      "euclidean",
      "innerProduct",
    ]),
  );
}

export function addFilterFlag(command: Command): Command {
  return command.option("--filter <json>", `metadata filter, such as '{"source": {"$like": "docs/%"}}'`, jsonObject);
}

/** Adds the flag that says what a text is searched by. */
export function addModeFlag(command: Command): Command {
  return command.addOption(
    new Option("--mode <mode>", "search by meaning, by words (BM25) or by both (default: similarity)").choices([
      "similarity",
      "lexical",
      "hybrid",
    ]),
  );
}

/** Adds the flags of the lexical index of a store that is to be made. */
export function addLexicalFlags(command: Command): Command {
  return command
    .option("--lexical", "keep a lexical index, for --mode lexical and hybrid")
    .option("--language <name>", "language of the texts for --lexical, such as german or de (default: english)");
}

/** How an answer is made. */
export interface AnswerFlags {
  readonly k: number;
  readonly tokenBudget?: number;
}

/** Adds the flags of verbs that answer. */
export function addAnswerFlags(command: Command): Command {
  return command
    .option("-k <number>", "how many chunks to answer from", atLeast(1), 5)
    .option("--chat-model <model>", "provider:model, such as openai:gpt-4o-mini; none quotes the chunks")
    .option("--token-budget <number>", "no call of the chat model begins after so many tokens", atLeast(1));
}

export interface LexicalFlags {
  readonly lexical?: boolean;
  readonly language?: string;
}

export function addJsonFlag(command: Command): Command {
  return command.option("--json", "print one JSON document on stdout");
}

/** Parses a whole number of at least `least`. */
export function atLeast(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`Give a whole number of at least ${least}.`);
  };
}

/** Parses a share above 0 and up to 1. */
export function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && value <= 1) return value;
  throw new InvalidArgumentError("Give a number above 0 and at most 1, such as 0.99.");
}

/** The spec of an embedder or chat model with the patience that the flags ask for. */
export function withPatience<S extends object>(spec: S, { timeout, retries }: PatienceFlags): S {
  return {
    ...spec,
    ...(timeout !== undefined && { timeoutMs: timeout * 1_000 }),
    ...(retries !== undefined && { maxRetries: retries }),
  };
}

/** Parses a JSON object. */
export function jsonObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Reported below, together with what is JSON but no object.
  }
  throw new InvalidArgumentError(`Give a JSON object, such as '{"source": "README.md"}'.`);
}

/** Parses `content=body,embedding=vector`. */
export function columns(text: string): ColumnNames {
  const names: Record<string, string> = {};
  for (const part of text.split(",")) {
    const [, role, name] = /^\s*(id|content|metadata|embedding)\s*=\s*(.+?)\s*$/.exec(part) ?? [];
    if (role === undefined || name === undefined) {
      throw new InvalidArgumentError("Write it like id=id,content=text,metadata=metadata,embedding=embedding.");
    }
    names[role] = name;
  }
  return names;
}

/** Collects a flag that may be repeated. */
export function repeated(text: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, text];
}

/** Collects `key:type` of a flag that may be repeated. Keys may hold colons. */
export function promotion(
  text: string,
  earlier: Readonly<Record<string, PromotedType>> = {},
): Readonly<Record<string, PromotedType>> {
  const [, key, type] = /^(.*):(text|number|boolean)$/s.exec(text) ?? [];
  if (key === undefined)
    throw new InvalidArgumentError("Write it like year:number; the types are text, number, boolean.");
  if (Object.hasOwn(earlier, key)) throw new InvalidArgumentError(`The key ${JSON.stringify(key)} is named twice.`);
  // fromEntries, since assigning "__proto__" would define nothing.
  return Object.fromEntries([...Object.entries(earlier), [key, type as PromotedType]]);
}

/** The name of an option as it is typed, such as `on-error`. */
export function dashed(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
