import { join } from "node:path";
import ts from "typescript";

/** The repository's folder, absolute. */
export const ROOT = join(import.meta.dirname, "..");

/** What the compiler says about one place in a source. */
export interface TypeProblem {
  /** Absolute path, as given. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

/**
 * Type-checks modules that are not on disk with the repository's `tsconfig.json`, in which `langchain-pgvector` means
 * `src/`: no build is needed, and none can be out of date.
 *
 * @param sources text by absolute path; a path inside the repository, so that its packages are found
 * @param overrides compiler options that differ from the repository's
 */
export function typeCheck(sources: ReadonlyMap<string, string>, overrides: ts.CompilerOptions = {}): TypeProblem[] {
  const options = { ...repositoryOptions(), ...overrides, noEmit: true };
  const host = ts.createCompilerHost(options);
  const withSources: ts.CompilerHost = {
    ...host,
    fileExists: (path) => sources.has(path) || host.fileExists(path),
    readFile: (path) => sources.get(path) ?? host.readFile(path),
    getSourceFile: (path, target, ...rest) => {
      const text = sources.get(path);
      return text === undefined ? host.getSourceFile(path, target, ...rest) : ts.createSourceFile(path, text, target);
    },
  };
  const program = ts.createProgram([...sources.keys()], options, withSources);
  const problems = program.getOptionsDiagnostics().map(toProblem);
  for (const path of sources.keys()) {
    const file = program.getSourceFile(path);
    problems.push(...program.getSyntacticDiagnostics(file).map(toProblem));
    problems.push(...program.getSemanticDiagnostics(file).map(toProblem));
  }
  return problems;
}

function repositoryOptions(): ts.CompilerOptions {
  const { config, error } = ts.readConfigFile(join(ROOT, "tsconfig.json"), (path) => ts.sys.readFile(path));
  if (error) throw new Error(toProblem(error).message);
  return ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, ROOT).options;
}

function toProblem({ file, start, messageText }: ts.Diagnostic): TypeProblem {
  const message = ts.flattenDiagnosticMessageText(messageText, "\n");
  if (!file) return { file: "", line: 1, message };
  return { file: file.fileName, line: file.getLineAndCharacterOfPosition(start ?? 0).line + 1, message };
}
