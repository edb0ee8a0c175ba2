import { createServer, type Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { StoreStats } from "./read.js";
import { toPrometheus } from "./prometheus.js";

export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves `/metrics` for Prometheus. Each scrape reads anew; scrapes that come at once share one reading. A reading that fails
 * answers 503 with the reason in words, which carry no secret.
 *
 * @param port 0 for a free one.
 */
export async function serveMetrics(
  read: () => Promise<StoreStats>,
  { port, host }: { port: number; host: string },
  onError: (error: unknown) => void = () => undefined,
): Promise<MetricsServer> {
  let reading: Promise<string> | undefined;
  const scrape = (): Promise<string> =>
    (reading ??= read()
      .then(toPrometheus)
      .finally(() => (reading = undefined)));
  const server = createServer((request, response) => {
    const answer = (status: number, text: string, type = "text/plain; charset=utf-8"): void => {
      response.writeHead(status, { "content-type": type, "cache-control": "no-store" }).end(text);
    };
    if (request.method !== "GET" && request.method !== "HEAD") return answer(405, "Only GET.\n");
    if (new URL(request.url ?? "/", "http://localhost").pathname !== "/metrics") return answer(404, "Try /metrics.\n");
    scrape().then(
      (text) => answer(200, text, "text/plain; version=0.0.4; charset=utf-8"),
      (error: unknown) => {
        onError(error);
        answer(503, "The database could not be read; the process that serves this has the reason.\n");
      },
    );
  });
  await listen(server, port, host);
  const { address, port: taken, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${taken}/metrics`,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close").catch(() => undefined);
    },
  };
}

async function listen(server: Server, port: number, host: string): Promise<void> {
  server.listen(port, host);
  await once(server, "listening");
}
