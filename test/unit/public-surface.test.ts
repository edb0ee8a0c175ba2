import { readFileSync } from "node:fs";
import ts from "typescript";
import { describe, expect, it } from "vitest";

/** Names of the types, and only of the types, that an entry point exports; `export *` would hide what is public. */
function exportedTypes(entry: string): string[] {
  const file = new URL(`../../src/${entry}`, import.meta.url);
  const source = ts.createSourceFile(file.pathname, readFileSync(file, "utf8"), ts.ScriptTarget.Latest);
  return source.statements
    .filter((statement) => ts.isExportDeclaration(statement))
    .flatMap((statement) => {
      if (!statement.exportClause || !ts.isNamedExports(statement.exportClause)) throw new Error(`${entry}: export *`);
      return statement.exportClause.elements.filter((element) => element.isTypeOnly || statement.isTypeOnly);
    })
    .map((element) => element.name.text)
    .sort();
}

/** The values are pinned by test/types/public-surface.test-d.ts. */
describe("exported types", () => {
  it.each([
    [
      "index.ts",
      [
        "AddModelOptions",
        "AddModelPlan",
        "AdoptArgs",
        "AdoptReport",
        "AdoptedVector",
        "BackfillOptions",
        "BackfillProgress",
        "BackfillResult",
        "BuildLexicalOptions",
        "BulkEmbedOptions",
        "BulkLoadItem",
        "BulkLoadOptions",
        "BulkLoadProgress",
        "BulkLoadResult",
        "BulkLoadSource",
        "CipherContext",
        "CompactOptions",
        "CompactedLexical",
        "CompareOptions",
        "CompareQuery",
        "CompareThresholds",
        "Comparison",
        "ContentCipher",
        "DeleteParams",
        "DeleteTenantOptions",
        "DeleteTenantProgress",
        "DeletedTenant",
        "DocumentFilter",
        "ExpireOptions",
        "ExpireTenantsOptions",
        "ExportEnd",
        "ExportHeader",
        "ExportOptions",
        "ExportRecord",
        "ExportedChunk",
        "ExportedCollection",
        "ExportedModel",
        "Filter",
        "Finding",
        "FindingCode",
        "Fusion",
        "FusionCandidate",
        "FusionFunction",
        "FusionLegs",
        "FusionWeights",
        "GetParams",
        "HnswConfig",
        "ImportOptions",
        "LeakFinding",
        "LeakProgress",
        "LeakReport",
        "LeakSuiteConfig",
        "LexicalIndex",
        "LexicalIndexState",
        "LexicalOptions",
        "Logger",
        "LoginOptions",
        "LoginPlan",
        "ModelAdmin",
        "ModelInfo",
        "ModelSizing",
        "ModelStatus",
        "ModelsStatus",
        "MoveOptions",
        "MovePlan",
        "MoveProgress",
        "MovedTenant",
        "PostgresRetrieverOptions",
        "PostgresVectorStoreArgs",
        "PromotedType",
        "RejectedRow",
        "RetireOptions",
        "RetirePlan",
        "Retired",
        "SearchHit",
        "SearchOptions",
        "SearchType",
        "SetAsideRow",
        "StoreProcess",
        "StoredChunk",
        "SwitchOptions",
        "SwitchPlan",
        "Switched",
        "TenantAdmin",
        "TenantId",
        "TenantInfo",
        "TenantState",
        "VersionFigures",
      ],
    ],
    [
      "chains/index.ts",
      [
        "Citation",
        "ExtractiveAnswer",
        "ExtractiveAnswererOptions",
        "ExtractiveInput",
        "RagChainInput",
        "RagChainOptions",
        "RagChainOutput",
        "RetrievalSource",
        "RetrievalToolOptions",
        "RetrieverFactory",
        "RetrieverOptions",
      ],
    ],
    [
      "loaders/index.ts",
      ["ChunkMetadata", "DocumentFormat", "LoadOptions", "LoadSummary", "SkippedFile", "SplitOptions"],
    ],
    [
      "chroma/index.ts",
      [
        "ChromaCollectionInfo",
        "ChromaConnection",
        "ChromaLibArgs",
        "ChromaServer",
        "DualStoreOptions",
        "ExportChromaArgs",
        "ExportedChromaCollection",
        "ImportArgs",
        "ImportChromaArgs",
        "ImportInto",
        "ImportJsonlArgs",
        "ImportPlan",
        "ImportProgress",
        "ImportReport",
        "ImportedCollection",
        "PlannedCollection",
        "ReadDifference",
        "RecordMapping",
        "RunChromaOptions",
        "Verification",
      ],
    ],
    ["embedded/index.ts", ["EmbeddedClient", "EmbeddedOptions", "EmbeddedPostgres", "EmbeddedQuery", "EmbeddedReply"]],
  ])("of %s", (entry, names) => {
    expect(exportedTypes(entry)).toEqual(names);
  });
});
