export { importChroma, planImportChroma, type ImportChromaArgs } from "./import-chroma.js";
export type { ChromaConnection } from "./client.js";
export type { ImportArgs, ImportInto, ImportProgress } from "./import/options.js";
export type { ImportedCollection, ImportReport } from "./import/import.js";
export type { ImportPlan, PlannedCollection } from "./import/plan.js";
export type { Verification } from "./import/verify.js";
export { Chroma, type ChromaCollectionInfo } from "./chroma.js";
export type { ChromaLibArgs } from "./chroma-args.js";
export { setDefaultConnection } from "./default-connection.js";
