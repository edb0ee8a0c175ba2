import { resolve, sep } from "node:path";
import picomatch from "picomatch";
import type { SourceState } from "../../store/sources/records.js";
import type { Sources } from "../../store/sources/sources.js";
import { splitPattern } from "../find-files.js";
import { isUrl, sourceName, STDIN } from "../find-sources.js";

/** The part of a store's sources that a run is about. */
interface Scope {
  /** What names of sources in it begin with, for the database. */
  readonly prefix: string;
  readonly holds: (name: string) => boolean;
}

/**
 * The sources that the store has of the named files, folders and patterns, by name. A run deletes no others: what came
 * from another folder stays, whatever this one holds.
 */
export async function storedSources(
  sources: Sources,
  wanted: readonly string[],
  cwd: string,
): Promise<Map<string, SourceState>> {
  const scopes = wanted.map((source) => scopeOf(source, cwd));
  const stored = new Map<string, SourceState>();
  for (const prefix of outermost(scopes.map((scope) => scope.prefix))) {
    for await (const state of sources.list({ prefix })) {
      if (scopes.some((scope) => scope.holds(state.source))) stored.set(state.source, state);
    }
  }
  return stored;
}

function scopeOf(source: string, cwd: string): Scope {
  if (source === STDIN.argument) return exactly(STDIN.name);
  if (isUrl(source)) return exactly(URL.canParse(source) ? withoutHash(source) : source);
  const path = resolve(cwd, source);
  const { base, pattern } = splitPattern(source, cwd);
  const matches = picomatch(pattern, { dot: false });
  const inside = below(path);
  const insideBase = below(base);
  return {
    prefix: prefixOf(/[*?[\]{}()!+@\\]/.test(source) ? base : path, cwd),
    holds: (name) => {
      if (isUrl(name) || name === STDIN.name) return false;
      const file = resolve(cwd, name);
      return file === path || inside(file) !== undefined || (pattern !== "" && matches(insideBase(file) ?? ""));
    },
  };
}

function exactly(name: string): Scope {
  return { prefix: name, holds: (other) => other === name };
}

function withoutHash(address: string): string {
  const url = new URL(address);
  url.hash = "";
  return url.href;
}

/** The path below a folder, with `/`; `undefined` when it is elsewhere. */
function below(folder: string): (path: string) => string | undefined {
  const start = folder.endsWith(sep) ? folder : folder + sep;
  return (path) => (path.startsWith(start) ? path.slice(start.length).split(sep).join("/") : undefined);
}

/** Names below the current folder are relative, so that the folder itself begins with nothing. */
function prefixOf(path: string, cwd: string): string {
  return path === cwd || cwd.startsWith(path.endsWith(sep) ? path : path + sep) ? "" : sourceName(path, cwd);
}

function outermost(prefixes: readonly string[]): string[] {
  const unique = [...new Set(prefixes)];
  return unique.filter((prefix) => !unique.some((other) => other !== prefix && prefix.startsWith(other)));
}
