import { afterAll, test } from "vitest";
import { startChromaServer, whyNoChroma } from "../helpers/chroma-server.js";

/** The suite against LangChain's own class and a Chroma server: what it expects is what Chroma does. */
const reason = await whyNoChroma();
if (reason === undefined) {
  const server = await startChromaServer();
  afterAll(() => server.stop());
  process.env["CHROMA_URL"] = server.url;
  await import("../drop-in/chroma-suite.js");
} else {
  test.skip(`needs a Chroma server: ${reason}`);
}
