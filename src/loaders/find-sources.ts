import { isAbsolute, relative, sep } from "node:path";
import { LoadError } from "../errors.js";
import { findFiles, missingSource } from "./find-files.js";
import { formatOf, type DocumentFormat } from "./formats.js";

/** A file, a web page or standard input, not read yet. */
export type FoundSource = {
  /** What goes into `metadata.source`. */
  readonly name: string;
  /** Whether the caller named this very source, rather than a folder or pattern that holds it. */
  readonly explicit: boolean;
} & (
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "url"; readonly url: URL }
  | { readonly kind: "stdin" }
);

export interface FoundSources {
  readonly sources: FoundSource[];
  /** One for each symbolic link below a folder. */
  readonly links: { readonly source: string; readonly error: LoadError }[];
  /** Paths and patterns that name nothing. */
  readonly missing: { readonly source: string; readonly error: LoadError }[];
  /** Files in folders and patterns whose format is not supported: number by extension, `""` for none. */
  readonly unsupported: Readonly<Record<string, number>>;
}

/** How standard input is written among the sources, and what it is called in the metadata. */
export const STDIN = { argument: "-", name: "stdin" } as const;

/**
 * Resolves files, folders, patterns, web addresses and `-` to sources, in the order given and each once. Reads nothing
 * but folders.
 *
 * @param format for files whose name says nothing; without it those in folders are left out.
 * @throws LoadError when a folder cannot be listed or an address cannot be parsed.
 */
export async function findSources(
  wanted: readonly string[],
  cwd: string,
  format?: DocumentFormat,
): Promise<FoundSources> {
  const byName = new Map<string, FoundSource>();
  const links = new Map<string, LoadError>();
  const missing: { source: string; error: LoadError }[] = [];
  const unsupported: Record<string, number> = {};
  const seen = new Set<string>();
  for (const source of wanted) {
    if (source === STDIN.argument) {
      byName.set(STDIN.name, { kind: "stdin", name: STDIN.name, explicit: true });
      continue;
    }
    if (isUrl(source)) {
      const url = toUrl(source);
      byName.set(url.href, { kind: "url", url, name: url.href, explicit: true });
      continue;
    }
    const found = await findFiles([source], cwd);
    if (found.missing.length > 0) missing.push({ source, error: missingSource(source, cwd) });
    for (const link of found.links) {
      const name = sourceName(link, cwd);
      links.set(name, new LoadError(`"${name}" is a symbolic link, which is not followed; name it itself.`, name));
    }
    for (const { path, explicit } of found.files) {
      const name = sourceName(path, cwd);
      if (!explicit && format === undefined && formatOf(path) === undefined) {
        if (!seen.has(name) && !byName.has(name)) {
          const extension = extensionOf(path);
          unsupported[extension] = (unsupported[extension] ?? 0) + 1;
        }
        seen.add(name);
        continue;
      }
      byName.set(name, { kind: "file", path, name, explicit: explicit || (byName.get(name)?.explicit ?? false) });
    }
  }
  return {
    sources: [...byName.values()],
    links: [...links].map(([source, error]) => ({ source, error })),
    missing,
    unsupported,
  };
}

/** Whether a source is written like a web address; a path of Windows has one letter in front of its colon. */
export function isUrl(source: string): boolean {
  return /^[a-z][a-z\d+.-]+:\/\//i.test(source);
}

/** Relative to the folder when it is below it, else absolute; always with `/`. */
export function sourceName(path: string, cwd: string): string {
  const name = relative(cwd, path);
  const outside = name === ".." || name.startsWith(`..${sep}`) || isAbsolute(name);
  return (outside ? path : name).split(sep).join("/");
}

function toUrl(source: string): URL {
  if (!/^https?:/i.test(source)) {
    throw new LoadError(
      `"${source.slice(0, source.indexOf(":"))}" is no protocol to read from; use http or https.`,
      source,
    );
  }
  let url: URL;
  try {
    url = new URL(source);
  } catch (cause) {
    throw new LoadError(`"${source}" is no web address.`, source, { cause });
  }
  // A part of a page is the page.
  url.hash = "";
  return url;
}

function extensionOf(path: string): string {
  return /[^/\\](\.[^./\\]+)$/.exec(path)?.[1]?.toLowerCase() ?? "";
}
