import { resolve } from "node:path";
import { watch } from "chokidar";
import { ConfigurationError } from "../errors.js";
import { splitPattern } from "../loaders/find-files.js";
import { isUrl, STDIN } from "../loaders/find-sources.js";
import type { CliContext } from "./context.js";

/** An editor writes a file in several steps; a checkout writes many files. */
const QUIET_MS = 300;
const NEVER = /(?:^|[/\\])(?:node_modules|\.[^/\\]+)(?:[/\\]|$)/;

/**
 * Calls `ingest` whenever something below the folders of the sources has changed and then been quiet for a moment, one
 * call at a time, until the context's signal fires.
 *
 * @throws what `ingest` throws.
 */
export async function watchSources(
  context: CliContext,
  paths: readonly string[],
  ingest: () => Promise<void>,
): Promise<void> {
  const roots = paths.flatMap((path) => [resolve(context.cwd, path), splitPattern(path, context.cwd).base]);
  const watched = roots.filter((root) => !/[*?[\]{}]/.test(root));
  const watcher = watch(watched, {
    ignoreInitial: true,
    followSymlinks: false,
    ignored: (path) => watched.every((root) => path !== root) && NEVER.test(path.replace(context.cwd, "")),
  });
  try {
    await new Promise<void>((done, fail) => {
      let timer: NodeJS.Timeout | undefined;
      let running: Promise<void> | undefined;
      let again = false;
      const work = async (): Promise<void> => {
        do {
          again = false;
          await ingest();
        } while (again);
        running = undefined;
      };
      const start = (): void => {
        again = true;
        running ??= work().catch(fail);
      };
      watcher.on("ready", () => context.err("watching for changes; stop with Ctrl+C"));
      watcher.on("error", (error) => fail(error as Error));
      watcher.on("all", () => {
        clearTimeout(timer);
        timer = setTimeout(start, QUIET_MS);
      });
      const stop = (): void => {
        clearTimeout(timer);
        void (async () => {
          await running;
          done();
        })();
      };
      if (context.signal.aborted) stop();
      else context.signal.addEventListener("abort", stop, { once: true });
    });
  } finally {
    await watcher.close();
  }
}

/** @throws ConfigurationError for sources that cannot be watched. */
export function checkWatchable(paths: readonly string[]): void {
  const other = paths.find((path) => isUrl(path) || path === STDIN.argument);
  if (other === undefined) return;
  throw new ConfigurationError(`--watch looks at files and folders; ${JSON.stringify(other)} cannot be watched.`);
}
