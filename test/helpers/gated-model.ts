import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A chat model behind HTTP that says what the test tells it to, when the test tells it to. */
export interface GatedModel {
  /** Base URL of OpenAI's format. */
  readonly url: string;
  /** Resolves when a request for an answer has arrived, in the order of requests. */
  asked(): Promise<GatedReply>;
  close(): Promise<void>;
}

export interface GatedReply {
  /** Sends one token. */
  say(token: string): void;
  /** Ends the answer. */
  end(): void;
  /** Resolves when the client has closed the connection. */
  readonly gone: Promise<void>;
}

/** Starts a {@link GatedModel} on a free port of 127.0.0.1. */
export async function startGatedModel(): Promise<GatedModel> {
  const waiting: ((reply: GatedReply) => void)[] = [];
  const arrived: GatedReply[] = [];
  const server = createServer((request, response) => {
    request.resume().on("end", () => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.flushHeaders();
      const reply = replyOn(response);
      const next = waiting.shift();
      if (next === undefined) arrived.push(reply);
      else next(reply);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked: () => {
      const first = arrived.shift();
      return first === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(first);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function replyOn(response: ServerResponse): GatedReply {
  const send = (delta: object, finish_reason: string | null): void => {
    const chunk = { id: "1", object: "chat.completion.chunk", created: 1, model: "gated" };
    response.write(`data: ${JSON.stringify({ ...chunk, choices: [{ index: 0, delta, finish_reason }] })}\n\n`);
  };
  return {
    say: (content) => send({ content }, null),
    end: () => {
      send({}, "stop");
      response.end("data: [DONE]\n\n");
    },
    gone: new Promise((resolve) => response.once("close", () => resolve())),
  };
}
