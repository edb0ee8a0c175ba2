import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/unit/**/*.test.ts", "test/integration/**/*.test.ts", "test/smoke/**/*.test.ts"],
    globalSetup: ["test/helpers/global-setup.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    // Opening an embedded database, or a fresh one on a busy machine, takes a few seconds.
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
  },
});
