import { defineConfig } from "vitest/config";

const everyTest = ["test/unit/**/*.test.ts", "test/integration/**/*.test.ts", "test/smoke/**/*.test.ts"];
// They exchange a module for another and set the environment: nobody else may have loaded it before them.
const ownProcess = ["test/integration/chroma-drop-in-*.test.ts"];

const shared = {
  pool: "forks",
  // A test that hangs must fail; one on a slow or busy machine must not.
  testTimeout: 120_000,
  hookTimeout: 180_000,
  teardownTimeout: 30_000,
} as const;

export default defineConfig({
  test: {
    // Out here they run once; a project that inherited them would start a server of its own.
    globalSetup: ["test/helpers/global-setup.ts"],
    maxWorkers: 3,
    projects: [
      // Loading LangChain anew for each file took a third of the run.
      { test: { ...shared, name: "shared", include: everyTest, exclude: ownProcess, isolate: false } },
      { test: { ...shared, name: "alone", include: ownProcess, isolate: true } },
    ],
  },
});
