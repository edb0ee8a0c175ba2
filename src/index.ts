export { PostgresVectorStore, PostgresVectorStore as PGVectorStore } from "./store/postgres-vector-store.js";
export type { SearchHit, SearchOptions } from "./store/search-hit.js";
export type { SparseVector, VectorInput } from "./db/sparse-vector.js";
export type { PostgresVectorStoreArgs, SearchType, TelemetryOptions } from "./store/options.js";
export { PostgresChatMessageHistory, type ChatHistoryOptions } from "./store/chat-history/chat-message-history.js";
export { PostgresTranslator } from "./store/self-query-translator.js";
export { adopt, planAdopt, type AdoptArgs, type AdoptReport } from "./store/adopt/adopt.js";
export { OfflineEmbeddings } from "./embeddings/offline.js";
export { CachedQueryEmbeddings, type CachedQueryEmbeddingsOptions } from "./embeddings/cached-query.js";
export { ExtractiveAnswerer } from "./chains/extractive-answerer.js";
export { PostgresRetriever, type PostgresRetrieverOptions } from "./store/retriever.js";
export type {
  BulkEmbedOptions,
  BulkLoadItem,
  BulkLoadOptions,
  BulkLoadProgress,
  BulkLoadResult,
  BulkLoadSource,
  RejectedRow,
} from "./store/bulk-load/options.js";
export type { CipherContext, ContentCipher } from "./store/content-cipher.js";
export type { PromotedType } from "./schema/promoted-keys.js";
export type { TenantId } from "./store/tenant.js";
export type { MovedTenant, MoveOptions, MovePlan, MoveProgress } from "./store/partitions/prepare.js";
export type { TenantAdmin } from "./store/tenants/admin.js";
export type { DeletedTenant, DeleteTenantOptions, DeleteTenantProgress } from "./store/tenants/delete.js";
export type { ExpireTenantsOptions } from "./store/tenants/expire.js";
export type { ExportOptions } from "./store/tenants/export.js";
export type {
  ExportedChunk,
  ExportedCollection,
  ExportedMessage,
  ExportedModel,
  ExportEnd,
  ExportHeader,
  ExportRecord,
} from "./store/tenants/export-record.js";
export type { ImportOptions } from "./store/tenants/import.js";
export { fromJsonLines, toJsonLine } from "./store/tenants/jsonl.js";
export type { TenantInfo } from "./store/tenants/list.js";
export type { LoginOptions, LoginPlan } from "./store/tenants/login.js";
export type { TenantState } from "./store/tenants/registry.js";
export { applyFixes, diagnose } from "./ops/doctor.js";
export type { Diagnosis } from "./ops/doctor/examine.js";
export type { FixedFinding, FixOptions } from "./ops/doctor/fix.js";
export type { DoctorLimits } from "./ops/doctor/limits.js";
export {
  evaluateRetrieval,
  type Comparison,
  type EvalMode,
  type EvalOptions,
  type EvalReport,
  type ModeReport,
  type QuestionResult,
} from "./ops/eval/evaluate.js";
export { fitFusionWeights, type FitOptions, type FittedWeights } from "./ops/eval/fit-weights.js";
export {
  readLabelledSet,
  type LabelledDocument,
  type LabelledQuestion,
  type LabelledSet,
} from "./ops/eval/labelled-set.js";
export type { Interval } from "./ops/eval/significance.js";
export { lintTenancy, type Finding, type FindingCode } from "./ops/tenancy-lint.js";
export { runLeakSuite, type LeakProgress, type LeakReport, type LeakSuiteConfig } from "./ops/leak-suite/run.js";
export { createBackup } from "./ops/backup/create-backup.js";
export type { DatabaseManifest } from "./ops/backup/manifest.js";
export type { BackupOptions, RestoreOptions } from "./ops/backup/options.js";
export { restoreBackup, type RestoreReport } from "./ops/backup/restore-backup.js";
export { estimateSize, type SizeEstimate } from "./ops/size/estimate.js";
export type { SizeOptions, SizeShape } from "./ops/size/shape.js";
export type { TableSize } from "./ops/size/table.js";
export type { ProcessStats } from "./ops/stats/process.js";
export { toPrometheus } from "./ops/stats/prometheus.js";
export type { IndexStats, ReplicaStats, StoreStats, TableStats } from "./ops/stats/read.js";
export type { StatementStats } from "./ops/stats/statements.js";
export type { LeakFinding } from "./ops/leak-suite/tally.js";
export type { Fusion, FusionCandidate, FusionFunction, FusionLegs, FusionWeights } from "./store/fusion/fusion.js";
export type { BuildLexicalOptions } from "./store/lexical/build.js";
export type { CompactedLexical, CompactOptions } from "./store/lexical/compact.js";
export type { LexicalIndex } from "./store/lexical/lexical-index.js";
export type { LexicalOptions } from "./store/lexical/options.js";
export type { LexicalIndexState } from "./store/lexical/state.js";
export type { DeleteParams } from "./store/delete.js";
export type { ExpireOptions } from "./store/expire.js";
export type { ExplainedStatement, Explanation } from "./store/explain/explanation.js";
export type { ExplainedPlan, TableAccess } from "./store/explain/plan.js";
export type { RawQuery } from "./store/explain/select-only.js";
export type { DoctorFinding, Severity } from "./store/finding.js";
export type { DocumentFilter, Filter } from "./store/filter/index.js";
export type { GetParams, StoredChunk } from "./store/get.js";
export type { AddModelOptions, AddModelPlan } from "./models/add.js";
export type {
  AdoptedVector,
  BackfillOptions,
  BackfillProgress,
  BackfillResult,
  SetAsideRow,
} from "./models/backfill/options.js";
export type {
  CompareModelsOptions,
  CompareQuery,
  CompareThresholds,
  Comparison as ModelComparison,
  VersionFigures,
} from "./models/compare/compare.js";
export { comparisonHtml, comparisonText } from "./models/compare/report.js";
export type { ModelAdmin } from "./models/model-admin.js";
export type { StoreProcess } from "./models/processes.js";
export type { Retired, RetireOptions, RetirePlan } from "./models/retire.js";
export type { ModelSizing } from "./models/sizing.js";
export type { ModelInfo, ModelsStatus, ModelStatus } from "./models/status.js";
export type { Switched, SwitchOptions, SwitchPlan } from "./models/switch.js";
export type { NeighbourOptions, PlacedChunk } from "./store/neighbours.js";
export type { PostProcessContext, PostProcessor } from "./store/post-process/post-process.js";
export type { Reranker } from "./store/post-process/rerank.js";
export type { HnswConfig } from "./store/hnsw.js";
export type { IndexNote, SearchSetting } from "./store/index-note.js";
export type { IvfflatConfig } from "./store/ivfflat.js";
export type { VectorIndexOptions } from "./store/vector-index.js";
export type { IndexProgress } from "./store/watch-build.js";
export type { CreatedIndex, CreateIndexOptions, KeyIndexConfig } from "./ops/indexes/create.js";
export type { IndexInfo } from "./ops/indexes/list.js";
export type { IndexPlan } from "./ops/indexes/plan.js";
export type { RebuildIndexOptions, RebuiltIndex } from "./ops/indexes/rebuild.js";
export type { StoreIndexes } from "./ops/indexes/store-indexes.js";
export type { CompareOptions, IndexVariant, VariantReport } from "./ops/tune/compare.js";
export { drawCurve } from "./ops/tune/curve.js";
export type { FilterReport, FilterWay } from "./ops/tune/filters.js";
export type { Measured } from "./ops/tune/measure.js";
export type { TuneOptions } from "./ops/tune/options.js";
export { plotHtml, plotSvg } from "./ops/tune/plot.js";
export type { ProbeOptions, RecallRecord } from "./ops/tune/probe.js";
export type { TunePoint } from "./ops/tune/recommend.js";
export type { TenantReport } from "./ops/tune/tenants.js";
export type { TuneReport } from "./ops/tune/tune.js";
export type { Logger } from "./store/logger.js";
export {
  BudgetExceededError,
  ChromaServerError,
  ConfigurationError,
  ContentCipherError,
  CutoverBlockedError,
  DatabaseError,
  DimensionMismatchError,
  FilterError,
  IndexBuildError,
  IngestError,
  InvalidVectorError,
  LangChainPgvectorError,
  LoadError,
  MissingTenantError,
  ModelProviderError,
  RerankError,
  SchemaDriftError,
  SchemaVersionError,
  TenantIsolationError,
  UnknownModelError,
} from "./errors.js";
