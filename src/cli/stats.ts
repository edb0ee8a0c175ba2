import { type Command, InvalidArgumentError } from "commander";
import { Database } from "../db/database.js";
import { ConfigurationError } from "../errors.js";
import { toPrometheus } from "../ops/stats/prometheus.js";
import { readStats, type StoreStats } from "../ops/stats/read.js";
import { serveMetrics } from "../ops/stats/serve.js";
import { statsText } from "../ops/stats/text.js";
import { pause } from "../db/pause.js";
import { resolveOptions } from "../store/options.js";
import { announce } from "./announce.js";
import type { CliContext } from "./context.js";
import { addJsonFlag, addTargetFlags, atLeast } from "./flags.js";
import { storeArgs } from "./open-store.js";
import { withTarget, type TargetFlags } from "./target.js";

interface StatsFlags extends TargetFlags {
  readonly prometheus?: boolean;
  readonly serve?: string | true;
  readonly watch?: boolean;
  readonly interval: number;
  readonly json?: boolean;
}

export function addStats(program: Command, context: CliContext): void {
  const command = program
    .command("stats")
    .description("use and size of indexes and tables, cost of statements, connections, replicas")
    .option("--prometheus", "print the text that Prometheus scrapes")
    .option("--serve [host:port]", "serve /metrics until interrupted (default: 127.0.0.1:9187)", address)
    .option("--watch", "print again and again, with what has changed since")
    .option("--interval <seconds>", "between two readings of --watch", atLeast(1), 2);
  addJsonFlag(addTargetFlags(command))
    .addHelpText(
      "after",
      `
Reads catalogs and statistics, no rows. What statements cost needs the extension pg_stat_statements, and a role that may
read it (grant pg_read_all_stats).

Examples:
  langchain-pgvector stats --database-url postgres://monitor@localhost/rag
  langchain-pgvector stats --table articles --watch
  langchain-pgvector stats --prometheus > /var/lib/node_exporter/langchain_pgvector.prom
  langchain-pgvector stats --serve 0.0.0.0:9187`,
    )
    .action((flags: StatsFlags) => stats(context, flags));
}

async function stats(context: CliContext, flags: StatsFlags): Promise<void> {
  const ways = (["prometheus", "serve", "watch", "json"] as const).filter((way) => flags[way] !== undefined);
  if (ways.length > 1) throw new ConfigurationError(`--${ways.join(" and --")} do not go together; choose one.`);
  await withTarget(context, flags, "never", async (target) => {
    announce(context, target, undefined, undefined, "all");
    const { layout } = resolveOptions(storeArgs(target, flags, context));
    const database = new Database(target.pool);
    const read = (): Promise<StoreStats> =>
      database.connection((session) => readStats(session, layout), context.signal);
    if (flags.serve !== undefined) return serve(context, read, flags.serve);
    if (flags.watch) return watch(context, read, flags.interval);
    const now = await read();
    if (flags.json) context.out(JSON.stringify(now));
    else context.out(flags.prometheus ? (await toPrometheus(now)).trimEnd() : statsText(now));
  });
}

async function serve(context: CliContext, read: () => Promise<StoreStats>, where: string | true): Promise<void> {
  // A store that is not there is said at once, not at the first scrape.
  await read();
  const [host, port] = split(where === true ? "127.0.0.1:9187" : where);
  const server = await serveMetrics(read, { host, port }, (error) =>
    context.err(`a scrape failed: ${error instanceof Error ? error.message : String(error)}`),
  );
  context.err(`serving ${server.url}; interrupt to stop`);
  await new Promise<void>((resolve) => {
    if (context.signal.aborted) resolve();
    context.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  await server.close();
  context.signal.throwIfAborted();
}

async function watch(context: CliContext, read: () => Promise<StoreStats>, seconds: number): Promise<void> {
  let before: StoreStats | undefined;
  while (!context.signal.aborted) {
    const now = await read();
    // Home and clear, so that a terminal shows one view in place; a file gets one after the other.
    context.out(`${process.stdout.isTTY ? "\u001b[H\u001b[2J" : ""}${statsText(now, before)}\n`);
    before = now;
    await pause(seconds * 1_000, context.signal);
  }
  context.signal.throwIfAborted();
}

function address(text: string): string {
  split(text);
  return text;
}

function split(text: string): [string, number] {
  const [, host = "127.0.0.1", digits] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535)
    throw new InvalidArgumentError("Give host:port or a port, such as 0.0.0.0:9187.");
  return [host.replace(/^\[(.*)\]$/, "$1"), port];
}
