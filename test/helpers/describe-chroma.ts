import { describe } from "vitest";
import { whyNoChroma } from "./chroma-server.js";

/* oxlint-disable vitest/valid-describe-callback, vitest/valid-title, vitest/expect-expect, vitest/no-disabled-tests */
/** A suite that needs a Chroma server; where none can run it shows as skipped, with the reason in its name. */
export async function describeChroma(name: string, suite: () => void): Promise<void> {
  const reason = await whyNoChroma();
  if (reason !== undefined && process.env["CHROMA_REQUIRED"] === "1")
    throw new Error(`CHROMA_REQUIRED=1, but ${reason}`);
  describe.skipIf(reason !== undefined)(
    reason === undefined ? name : `${name} (needs a Chroma server: ${reason})`,
    suite,
  );
}
