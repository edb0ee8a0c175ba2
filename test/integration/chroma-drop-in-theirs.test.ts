import { afterAll, describe } from "vitest";
import { startChromaServer, whyNoChroma } from "../helpers/chroma-server.js";

/** The suite against LangChain's own class and a Chroma server: what it expects is what Chroma does. */
const reason = await whyNoChroma();
const server = reason === undefined ? await startChromaServer() : undefined;
afterAll(() => server?.stop());
process.env["CHROMA_URL"] = server?.url ?? "";
const name = reason === undefined ? "LangChain's Chroma" : `LangChain's Chroma (needs a Chroma server: ${reason})`;
/* oxlint-disable-next-line vitest/valid-describe-callback, vitest/valid-title */
describe.skipIf(reason !== undefined)(name, async () => {
  await import("../drop-in/chroma-suite.js");
});
