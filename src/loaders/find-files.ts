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

/** Below the folder that is searched; a folder named by the caller is read whatever it is called. */
const NEVER = ["**/node_modules/**", "**/.git/**"];

/**
 * Resolve files, folders and glob patterns to files: sources in the order given, the files of each sorted by path, each
 * file once. Folders are searched recursively; `.gitignore` files (those of the enclosing git repository included) are
 * respected, hidden entries and symbolic links are left out. Only names are held in memory.
 *
 * A path that exists is taken as a path even when it holds characters that mean something in a pattern.
 *
 * @throws LoadError when a path does not exist, a folder cannot be listed, or a pattern matches nothing.
 */
export async function findFiles(sources: readonly string[], cwd: string): Promise<FoundFile[]> {
  const explicitByPath = new Map<string, boolean>();
  for (const source of sources) {
    for (const file of await expandSource(source, cwd)) {
      explicitByPath.set(file.path, file.explicit || (explicitByPath.get(file.path) ?? false));
    }
  }
  return [...explicitByPath].map(([path, explicit]) => ({ path, explicit }));
}

async function expandSource(source: string, cwd: string): Promise<FoundFile[]> {
  const path = resolve(cwd, source);
  const kind = source === "" ? "missing" : await kindOf(path, source);
  if (kind === "file") return [{ path, explicit: true }];
  if (kind === "folder") return listFolder(path, "**/*", source);
  if (source === "" || !isDynamicPattern(source)) {
    throw new LoadError(`"${source}" does not exist; name a file, a folder or a glob pattern below ${cwd}.`, source);
  }
  const { base, pattern } = splitPattern(source, cwd);
  const files = (await kindOf(base, source)) === "folder" ? await listFolder(base, pattern, source) : [];
  if (files.length > 0) return files;
  throw new LoadError(
    `No file matches "${source}" below ${cwd}; hidden files and those in .gitignore are left out, name them singly.`,
    source,
  );
}

async function kindOf(path: string, source: string): Promise<"file" | "folder" | "missing"> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) return "folder";
    if (found.isFile()) return "file";
  } catch (error) {
    if (isMissing(error)) return "missing";
    throw new LoadError(`"${source}" cannot be opened; check its permissions.`, source, { cause: error });
  }
  throw new LoadError(`"${source}" is neither a file nor a folder.`, source);
}

function isMissing(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG";
}

async function listFolder(folder: string, pattern: string, source: string): Promise<FoundFile[]> {
  try {
    const paths = await globby(pattern, {
      cwd: folder,
      absolute: true,
      dot: false,
      // A link can lead out of the folder, or back into it for ever.
      followSymbolicLinks: false,
      expandDirectories: false,
      expandNegationOnlyPatterns: false,
      ignore: NEVER,
      ...((await isIgnoredItself(folder)) ? { ignoreFiles: "**/.gitignore" } : { gitignore: true }),
    });
    return paths.toSorted().map((path) => ({ path: resolve(path), explicit: false }));
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
function splitPattern(source: string, cwd: string): { base: string; pattern: string } {
  const literal = source.slice(0, source.search(/[*?[\]{}()\\]/) >>> 0);
  const slash = literal.lastIndexOf("/");
  return { base: resolve(cwd, source.slice(0, slash + 1)), pattern: source.slice(slash + 1) };
}
