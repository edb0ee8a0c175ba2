/**
 * The one error hierarchy of the library. Catch by class or by the stable `code`; messages are for people and may change.
 */
export abstract class LangChainPgvectorError extends Error {
  /** Stable, machine-readable name of the kind of error. */
  abstract readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An option, or a combination of options, cannot work. Raised before any I/O where possible. */
export class ConfigurationError extends LangChainPgvectorError {
  readonly code = "CONFIGURATION";
}

/** A vector does not have the number of dimensions of its column. */
export class DimensionMismatchError extends LangChainPgvectorError {
  readonly code = "DIMENSION_MISMATCH";

  constructor(
    message: string,
    /** Dimensions of the embedding column. */
    readonly expected: number,
    /** Dimensions that were given. */
    readonly actual: number,
  ) {
    super(message);
  }
}

/** A vector holds NaN or Infinity, or has no direction where the metric needs one. */
export class InvalidVectorError extends LangChainPgvectorError {
  readonly code = "INVALID_VECTOR";
}

/** Documents or ids that cannot be stored as given; nothing was written. */
export class IngestError extends LangChainPgvectorError {
  readonly code = "INGEST";

  constructor(
    message: string,
    /** Position of the offending document in the call, from 0. */
    readonly row?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The `contentCipher` of the store failed on one document; nothing was stored, nothing is returned. */
export class ContentCipherError extends LangChainPgvectorError {
  readonly code = "CONTENT_CIPHER";

  constructor(
    message: string,
    /** Id of the document. */
    readonly id: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A metadata filter that cannot be understood. `path` names the place, such as `$and[1].year.gt`. */
export class FilterError extends LangChainPgvectorError {
  readonly code = "FILTER";

  constructor(
    message: string,
    readonly path: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Tenancy is on and no tenant was named; nothing was read or written. */
export class MissingTenantError extends LangChainPgvectorError {
  readonly code = "MISSING_TENANT";
}

/** The database would not keep tenants apart as configured, or refused a row of another or of a suspended tenant. */
export class TenantIsolationError extends LangChainPgvectorError {
  readonly code = "TENANT_ISOLATION";
}

/** The embedder at hand is not the model whose vectors the store holds. */
export class UnknownModelError extends LangChainPgvectorError {
  readonly code = "UNKNOWN_MODEL";
}

/** The schema is missing, too old to use without a migration, or newer than this library understands. */
export class SchemaVersionError extends LangChainPgvectorError {
  readonly code = "SCHEMA_VERSION";
}

/** The table exists but is not what the library made, for example a table of the LangChain base class. */
export class SchemaDriftError extends LangChainPgvectorError {
  readonly code = "SCHEMA_DRIFT";
}

/** A model version cannot be made the active one now. */
export class CutoverBlockedError extends LangChainPgvectorError {
  readonly code = "CUTOVER_BLOCKED";

  constructor(
    message: string,
    /** What speaks against it, each with its cure. */
    readonly objections: readonly string[],
  ) {
    super(message);
  }
}

/** A vector index could not be built; what was left of it has been removed. */
export class IndexBuildError extends LangChainPgvectorError {
  readonly code = "INDEX_BUILD";
}

/** A file or folder could not be loaded. */
export class LoadError extends LangChainPgvectorError {
  readonly code = "LOAD";

  constructor(
    message: string,
    /** The file, folder or URL. */
    readonly source: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Postgres refused a statement. The driver's error is the `cause`. */
export class DatabaseError extends LangChainPgvectorError {
  readonly code = "DATABASE";

  constructor(
    message: string,
    /** Five-character SQLSTATE, or `undefined` when the connection itself failed. */
    readonly sqlstate: string | undefined,
    /** Whether the same call may succeed when it is made again. */
    readonly retryable: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The server of an embedding or chat model refused, did not answer, or answered something else. */
export class ModelProviderError extends LangChainPgvectorError {
  readonly code = "MODEL_PROVIDER";

  constructor(
    message: string,
    readonly provider: string,
    /** HTTP status, or `undefined` when no answer came. */
    readonly status: number | undefined,
    /** Whether the same call may succeed when it is made again later. */
    readonly retryable: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The budget that chat models were given is used up; the request was not sent. */
export class BudgetExceededError extends LangChainPgvectorError {
  readonly code = "BUDGET_EXCEEDED";

  constructor(
    message: string,
    /** Calls that were made within the budget. */
    readonly calls: number,
    /** Tokens that they used. */
    readonly tokens: number,
  ) {
    super(message);
  }
}

/** A reranker failed, or returned something else than documents of the search. */
export class RerankError extends LangChainPgvectorError {
  readonly code = "RERANK";

  constructor(
    message: string,
    /** Name of the reranker's class. */
    readonly reranker: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A Chroma server refused, did not answer, or answered something else. */
export class ChromaServerError extends LangChainPgvectorError {
  readonly code = "CHROMA_SERVER";

  constructor(
    message: string,
    /** HTTP status, or `undefined` when no answer came. */
    readonly status: number | undefined,
    /** Whether the same call may succeed when it is made again later. */
    readonly retryable: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
