import { spawn } from "node:child_process";
import { once } from "node:events";
import { Client } from "pg";
import { expect, test } from "vitest";
import { findNativeBinaries, unprivilegedUser } from "../helpers/native-binaries.js";

const binaries = findNativeBinaries(unprivilegedUser());

test.skipIf(binaries === undefined).each(["SIGKILL", "SIGINT"] as const)(
  "a server ends with the process that started it, even by %s (needs native binaries)",
  async (signal) => {
    const script = `
      import { startNativeServer } from ${JSON.stringify(new URL("../helpers/native-server.ts", import.meta.url).href)};
      process.stdout.write((await startNativeServer()).url);
      setInterval(() => {}, 1000);`;
    const owner = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [url] = (await once(owner.stdout, "data")) as [Buffer];
    const connect = async (): Promise<string> => {
      const client = new Client({ connectionString: String(url), connectionTimeoutMillis: 2_000 });
      // The server may cut the connection between the answer and the end.
      client.on("error", () => undefined);
      const outcome = await client.connect().then(
        () => "up",
        () => "down",
      );
      await client.end().catch(() => undefined);
      return outcome;
    };
    await expect.poll(connect, { timeout: 15_000, interval: 200 }).toBe("up");
    owner.kill(signal);
    await expect.poll(connect, { timeout: 15_000, interval: 200 }).toBe("down");
  },
);
