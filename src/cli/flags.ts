import { type Command, InvalidArgumentError, Option } from "commander";

/** Adds the flags that say which database, schema, table and collection. */
export function addTargetFlags(command: Command): Command {
  return command
    .option("--database-url <url>", "Postgres to use (environment: DATABASE_URL)")
    .option("--table <name>", "table of chunks (default: langchain_chunks)")
    .option("--schema <name>", "schema of the table")
    .option("--collection <name>", "collection within the table");
}

/** Adds the flags that choose the embedder. */
export function addEmbeddingFlags(command: Command): Command {
  return command
    .option("--embeddings <model>", "offline, openai, ollama, or provider:model")
    .option("--base-url <url>", "OpenAI-compatible or Ollama server (environment: OPENAI_BASE_URL, OLLAMA_HOST)")
    .addOption(new Option("--api-key <key>", "better: the environment variable OPENAI_API_KEY"));
}

export function addJsonFlag(command: Command): Command {
  return command.option("--json", "print one JSON document on stdout");
}

/** Parses a whole number of at least `least`. */
export function atLeast(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`Give a whole number of at least ${least}.`);
  };
}

/** Parses a metadata filter written as JSON. */
export function jsonObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Reported below, together with what is JSON but no object.
  }
  throw new InvalidArgumentError('Give a JSON object, such as \'{"source": "README.md"}\'.');
}
