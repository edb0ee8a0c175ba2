import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
