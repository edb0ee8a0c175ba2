import { stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { globby, isDynamicPattern, isGitIgnored } from "globby";
import { LoadError } from "../errors.js";

export interface FoundFile {
  /** Absolute path. */
  readonly path: string;
  /** Whether the caller named this very file, rather than a folder or pattern that holds it. */
  readonly explicit: boolean;
}

export interface FoundFiles {
  readonly files: FoundFile[];
  /** Absolute paths of symbolic links below the folders, which were not followed. */
  readonly links: string[];
  /** Sources that name a path that does not exist. */
  readonly missing: string[];
}

/** Below the folder that is searched; a folder named by the caller is read whatever it is called. */
const NEVER = ["**/node_modules/**", "**/.git/**"];

/**
 * Resolve files, folders and glob patterns to files: sources in the order given, the files of each sorted by path, each
 * file once. Folders are searched recursively; `.gitignore` files (those of the enclosing git repository included) are
 * respected, hidden entries and symbolic links are left out. Only names are held in memory.
 *
 * A path that exists is taken as a path even when it holds characters that mean something in a pattern.
 *
 * @throws LoadError when a folder cannot be listed.
 */
export async function findFiles(sources: readonly string[], cwd: string): Promise<FoundFiles> {
  const explicitByPath = new Map<string, boolean>();
  const links = new Set<string>();
  const missing: string[] = [];
  for (const source of sources) {
    const found = await expandSource(source, cwd);
    if (found === undefined) {
      missing.push(source);
      continue;
    }
    for (const { path, explicit } of found.files) {
      explicitByPath.set(path, explicit || (explicitByPath.get(path) ?? false));
    }
    for (const link of found.links) links.add(link);
  }
  const files = [...explicitByPath].map(([path, explicit]) => ({ path, explicit }));
  return { files, links: [...links], missing };
}

/** What to say about a source that names nothing. */
export function missingSource(source: string, cwd: string): LoadError {
  return new LoadError(
    source !== "" && isDynamicPattern(source)
      ? `No file matches "${source}" below ${cwd}; hidden files and those in .gitignore are left out, name them singly.`
      : `"${source}" does not exist; name a file, a folder or a glob pattern below ${cwd}.`,
    source,
  );
}

type Listed = Pick<FoundFiles, "files" | "links">;

/** `undefined` when the path does not exist or nothing matches the pattern. */
async function expandSource(source: string, cwd: string): Promise<Listed | undefined> {
  const path = resolve(cwd, source);
  const kind = source === "" ? "missing" : await kindOf(path, source);
  if (kind === "file") return { files: [{ path, explicit: true }], links: [] };
  if (kind === "folder") return listFolder(path, "**/*", source);
  if (source === "" || !isDynamicPattern(source)) return undefined;
  const { base, pattern } = splitPattern(source, cwd);
  const found = (await kindOf(base, source)) === "folder" ? await listFolder(base, pattern, source) : undefined;
  return found === undefined || found.files.length === 0 ? undefined : found;
}

async function kindOf(path: string, source: string): Promise<"file" | "folder" | "missing"> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) return "folder";
    if (found.isFile()) return "file";
  } catch (error) {
    if (isMissing(error)) return "missing";
    const why = codeOf(error) === "ELOOP" ? "its symbolic links lead round in a circle" : "check its permissions";
    throw new LoadError(`"${source}" cannot be opened; ${why}.`, source, { cause: error });
  }
  throw new LoadError(`"${source}" is neither a file nor a folder.`, source);
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function isMissing(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG";
}

async function listFolder(folder: string, pattern: string, source: string): Promise<Listed> {
  try {
    const entries = await globby(pattern, {
      cwd: folder,
      absolute: true,
      dot: false,
      // A link can lead out of the folder, or back into it for ever.
      followSymbolicLinks: false,
      onlyFiles: false,
      objectMode: true,
      expandDirectories: false,
      expandNegationOnlyPatterns: false,
      ignore: NEVER,
      ...((await isIgnoredItself(folder)) ? { ignoreFiles: "**/.gitignore" } : { gitignore: true }),
    });
    const named = (wanted: (entry: (typeof entries)[number]["dirent"]) => boolean): string[] =>
      entries
        .filter(({ dirent }) => wanted(dirent))
        .map(({ path }) => resolve(path))
        .toSorted();
    return {
      files: named((entry) => entry.isFile()).map((path) => ({ path, explicit: false })),
      links: named((entry) => entry.isSymbolicLink()),
    };
  } catch (error) {
    throw new LoadError(`"${source}" cannot be listed; check the permissions of its folders.`, source, {
      cause: error,
    });
  }
}

/** A folder that git ignores but the caller named is wanted: only the rules inside it apply then. */
async function isIgnoredItself(folder: string): Promise<boolean> {
  if (basename(folder) === "") return false;
  const isIgnored = await isGitIgnored({ cwd: dirname(folder), deep: 1 });
  return isIgnored(`${folder}/`);
}

/** The leading segments without pattern characters are a folder: `docs/a/*.md` searches `docs/a` and nothing above it. */
export function splitPattern(source: string, cwd: string): { base: string; pattern: string } {
  const literal = source.slice(0, source.search(/[*?[\]{}()\\]/) >>> 0);
  const slash = literal.lastIndexOf("/");
  return { base: resolve(cwd, source.slice(0, slash + 1)), pattern: source.slice(slash + 1) };
}
