import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";
import { findChromaProgram, runChromaServer, type ChromaServer } from "../../src/chroma/run-server.js";

/** Starts a real Chroma server on a spare port with an empty folder, which `stop` removes. */
export async function startChromaServer(): Promise<ChromaServer> {
  const dataDir = mkdtempSync(join(tmpdir(), "langchain-pgvector-chroma-"));
  const remove = (): void => rmSync(dataDir, { recursive: true, force: true });
  try {
    const server = await runChromaServer({ dataDir });
    return {
      url: server.url,
      stop: async () => {
        await server.stop();
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Why there can be no Chroma server here; `undefined` when there can. */
export async function whyNoChroma(): Promise<string | undefined> {
  if (findChromaProgram() === undefined) return "the npm package chromadb is not installed";
  try {
    await (await startChromaServer()).stop();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message.slice(0, 200) : String(error);
  }
}

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
