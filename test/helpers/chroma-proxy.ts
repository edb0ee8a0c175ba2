import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** What a request asked for, and how often something of its kind was asked before. */
export interface ProxiedRequest {
  readonly path: string;
  readonly body: Record<string, unknown>;
  readonly headers: IncomingMessage["headers"];
}

/** A proxy in front of a real Chroma server that does to it what networks, proxies and old releases do. */
export class ChromaProxy {
  /** Changes the answer to a request; `undefined` breaks the connection. */
  tamper: (request: ProxiedRequest, answer: { status: number; body: string }) => typeof answer | undefined = (
    _request,
    answer,
  ) => answer;
  readonly requests: ProxiedRequest[] = [];
  readonly #server: Server;

  private constructor(
    server: Server,
    readonly url: string,
  ) {
    this.#server = server;
  }

  static async start(target: string): Promise<ChromaProxy> {
    const handle = async (incoming: IncomingMessage): Promise<{ status: number; body: string } | undefined> => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      const text = Buffer.concat(chunks).toString();
      const path = incoming.url ?? "/";
      const body = (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>;
      const request = { path, body, headers: incoming.headers };
      proxy.requests.push(request);
      const method = incoming.method ?? "GET";
      const headers = { "content-type": "application/json" };
      const response = await fetch(target + path, { method, headers, ...(text !== "" && { body: text }) });
      return proxy.tamper(request, { status: response.status, body: await response.text() });
    };
    const server = createServer((incoming, outgoing) => {
      handle(incoming).then(
        (answer) => {
          if (answer === undefined) return incoming.socket.destroy();
          return outgoing.writeHead(answer.status, { "content-type": "application/json" }).end(answer.body);
        },
        () => incoming.socket.destroy(),
      );
    });
    // Node closes a connection that was idle for five seconds, and a request may be on its way on it.
    server.keepAliveTimeout = 120_000;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const proxy = new ChromaProxy(server, `http://127.0.0.1:${port}`);
    return proxy;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}
