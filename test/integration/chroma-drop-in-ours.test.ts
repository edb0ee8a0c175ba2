import { afterAll, vi } from "vitest";
import { setDefaultConnection } from "../../src/chroma/index.js";
import { openTestDatabase } from "../helpers/database.js";

// The changed import path. Nothing is mocked: ours is what the suite then gets.
vi.mock("@langchain/community/vectorstores/chroma", () => import("../../src/chroma/index.js"));

const database = await openTestDatabase();
afterAll(async () => {
  await setDefaultConnection(undefined);
  await database.close();
});
await setDefaultConnection({ pool: database.pool });
process.env["CHROMA_URL"] = "http://localhost:1";
await import("../drop-in/chroma-suite.js");
