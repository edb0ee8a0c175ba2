import { describe, expect, test } from "vitest";
import { describeModel } from "../../src/cli/describe-model.js";
import { resolveChatModel, resolveEmbeddings } from "../../src/cli/model-options.js";
import { redactUrl } from "../../src/cli/redact.js";
import { ConfigurationError } from "../../src/errors.js";

const LOCAL = "http://127.0.0.1:1234/v1";
const VARIABLE = "LANGCHAIN_PGVECTOR_EMBEDDING_MODEL";

describe("resolveEmbeddings", () => {
  test.each([
    ["nothing", {}, {}, "default", { provider: "offline" }],
    ["a variable set to nothing", {}, { OPENAI_API_KEY: "" }, "default", { provider: "offline" }],
    ["Ollama's address alone", {}, { OLLAMA_HOST: "127.0.0.1" }, "default", { provider: "offline" }],
    ["a key", {}, { OPENAI_API_KEY: "k" }, "environment", { provider: "openai", apiKey: "k" }],
    ["a base URL", {}, { OPENAI_BASE_URL: LOCAL }, "environment", { provider: "openai", baseUrl: LOCAL }],
    [
      "a model of the environment",
      {},
      { [VARIABLE]: "openai:text-embedding-3-large", OPENAI_API_KEY: "k" },
      "environment",
      { provider: "openai", model: "text-embedding-3-large", apiKey: "k" },
    ],
    [
      "a model of the environment beats the key",
      {},
      { [VARIABLE]: "ollama:bge-m3:567m", OPENAI_API_KEY: "k" },
      "environment",
      { provider: "ollama", model: "bge-m3:567m" },
    ],
    [
      "a flag beats the environment",
      { embeddings: "offline" },
      { [VARIABLE]: "ollama", OPENAI_API_KEY: "k" },
      "flag",
      { provider: "offline" },
    ],
    [
      "flags for URL and key beat the environment's",
      { embeddings: "openai:m", baseUrl: LOCAL, apiKey: "flag" },
      { OPENAI_API_KEY: "k", OPENAI_BASE_URL: "http://other/v1" },
      "flag",
      { provider: "openai", model: "m", baseUrl: LOCAL, apiKey: "flag" },
    ],
    ["--base-url alone means openai", { baseUrl: LOCAL }, {}, "flag", { provider: "openai", baseUrl: LOCAL }],
    [
      "Ollama's own variable",
      { embeddings: "ollama" },
      { OLLAMA_HOST: "0.0.0.0" },
      "flag",
      { provider: "ollama", baseUrl: "http://127.0.0.1:11434" },
    ],
    [
      "--base-url goes to Ollama when only that is named",
      { embeddings: "ollama", baseUrl: "http://gpu:11434" },
      { OLLAMA_HOST: "0.0.0.0" },
      "flag",
      { provider: "ollama", baseUrl: "http://gpu:11434" },
    ],
    [
      "--base-url goes to the chat model's server when that is OpenAI's",
      { embeddings: "ollama", chatModel: "openai:m", baseUrl: LOCAL },
      {},
      "flag",
      { provider: "ollama" },
    ],
    [
      "--base-url is for another provider's chat model",
      { chatModel: "anthropic:m", baseUrl: "https://proxy" },
      {},
      "default",
      { provider: "offline" },
    ],
  ] as const)("%s", (_, flags, environment, source, spec) => {
    expect(resolveEmbeddings(flags, environment)).toEqual({ source, spec });
  });

  test.each([
    ["gpu:8080", "http://gpu:8080"],
    ["gpu", "http://gpu:11434"],
    [":8080", "http://127.0.0.1:8080"],
    ["gpu:80", "http://gpu"],
    ["https://gpu/ollama/", "https://gpu/ollama"],
    ["http://[::]:11434", "http://127.0.0.1:11434"],
  ])("OLLAMA_HOST %s is %s", (host, baseUrl) => {
    expect(resolveEmbeddings({ embeddings: "ollama" }, { OLLAMA_HOST: host }).spec).toMatchObject({ baseUrl });
  });

  test.each([
    [{ embeddings: "openai" }, {}, /--embeddings asks for OpenAI, which needs a key/],
    [
      {},
      { [VARIABLE]: "text-embedding-3-small" },
      /LANGCHAIN_PGVECTOR_EMBEDDING_MODEL "text-embedding-3-small" names no/,
    ],
    [{ embeddings: "cohere:m" }, {}, /--embeddings "cohere:m" names no embedder/],
    [{ embeddings: "ollama" }, { OLLAMA_HOST: "http://ann:s3cret@:x" }, /OLLAMA_HOST is "http:\/\/ann:\*\*\*@:x"/],
  ])("%j %j is refused", (flags, environment, message) => {
    expect(() => resolveEmbeddings(flags, environment)).toThrow(ConfigurationError);
    expect(() => resolveEmbeddings(flags, environment)).toThrow(message);
  });
});

describe("resolveChatModel", () => {
  test.each([
    ["nothing", {}, {}, undefined],
    ["Ollama's address alone", {}, { OLLAMA_HOST: "127.0.0.1" }, undefined],
    ["a key", {}, { OPENAI_API_KEY: "k" }, { provider: "openai", model: "gpt-4o-mini", apiKey: "k" }],
    ["a base URL", {}, { OPENAI_BASE_URL: LOCAL }, { provider: "openai", model: "gpt-4o-mini", baseUrl: LOCAL }],
    ["--base-url", { baseUrl: LOCAL }, {}, { provider: "openai", model: "gpt-4o-mini", baseUrl: LOCAL }],
    ["none", { chatModel: "none" }, { OPENAI_API_KEY: "k" }, undefined],
    ["Ollama's --base-url", { embeddings: "ollama", baseUrl: "http://gpu:11434" }, {}, undefined],
    [
      "a model with a colon",
      { chatModel: "ollama:llama3.2:3b" },
      { OPENAI_API_KEY: "k", OLLAMA_BASE_URL: "http://gpu:11434", OLLAMA_HOST: "0.0.0.0" },
      { provider: "ollama", model: "llama3.2:3b", baseUrl: "http://gpu:11434" },
    ],
    [
      "OpenAI's key and URL stay away from other providers",
      { chatModel: "anthropic:claude" },
      { OPENAI_API_KEY: "k", OPENAI_BASE_URL: LOCAL },
      { provider: "anthropic", model: "claude" },
    ],
    [
      "--api-key beside Ollama's embedder",
      { embeddings: "ollama", chatModel: "anthropic:claude", baseUrl: "http://gpu:11434", apiKey: "a" },
      {},
      { provider: "anthropic", model: "claude", apiKey: "a" },
    ],
    [
      "flags are OpenAI's when it embeds",
      { embeddings: "openai", chatModel: "anthropic:claude", apiKey: "o" },
      {},
      { provider: "anthropic", model: "claude" },
    ],
  ] as const)("%s", (_, flags, environment, spec) => {
    expect(resolveChatModel(flags, environment)).toEqual(spec);
  });

  test.each(["gpt-4o", "openai:", ":m", "openai:gpt-4o"])(
    "%s is refused without provider, model or key",
    (chatModel) => {
      expect(() => resolveChatModel({ chatModel }, {})).toThrow(ConfigurationError);
    },
  );
});

describe("describeModel", () => {
  test.each([
    [{ provider: "offline" }, "offline (matches words, not meaning)"],
    [{ provider: "openai", apiKey: "sk-secret" }, "openai text-embedding-3-small"],
    [{ provider: "openai", baseUrl: LOCAL, apiKey: "sk-secret" }, `openai text-embedding-3-small at ${LOCAL}`],
    [{ provider: "ollama", baseUrl: "http://ann:pw@gpu:1" }, "ollama nomic-embed-text at http://ann:***@gpu:1"],
    [
      { provider: "openai", model: "m", baseUrl: "http://h/v1?api-key=zz&v=1" },
      "openai m at http://h/v1?api-key=***&v=1",
    ],
    [{ provider: "anthropic", model: "claude" }, "anthropic claude"],
  ] as const)("%j", (spec, line) => {
    expect(describeModel(spec)).toBe(line);
  });
});

describe("redactUrl", () => {
  test.each([
    ["postgres://ann:pw@host:5432/db", "postgres://ann:***@host:5432/db"],
    ["postgres://ann@host/db", "postgres://ann@host/db"],
    ["postgres://host:5432/db?application_name=me@box", "postgres://host:5432/db?application_name=me@box"],
    ["postgres://ann:pw@host/db?application_name=me@box", "postgres://ann:***@host/db?application_name=me@box"],
    ["postgres://host/db", "postgres://host/db"],
    ["postgresql://:pw@/db?host=/tmp", "postgresql://:***@/db?host=/tmp"],
    ["postgres://ann:p/w@rd#1@host/db", "postgres://ann:***@host/db"],
    [
      "postgres://ann:pw@host/db?sslmode=require&password=x&a=1",
      "postgres://ann:***@host/db?sslmode=require&password=***&a=1",
    ],
    ["host=h user=ann password=pw dbname=d", "host=h user=ann password=*** dbname=d"],
    ["host=h password = 'p w\\' x' dbname=d", "host=h password = *** dbname=d"],
  ])("%s", (url, shown) => {
    expect(redactUrl(url)).toBe(shown);
  });

  test.each([
    "postgres://ann:p?w@host/db",
    "postgres://ann:12/p?w@host/db",
    "postgres://ann:12/:pw@host",
    "postgres://ann:pw@host:port:x/db",
    "ann:s3cret@host",
    "http://ann:pw@[x",
  ])("%s keeps no password", (url) => {
    expect(redactUrl(url)).not.toMatch(/p\?w|:pw@|s3cret/);
  });
});
