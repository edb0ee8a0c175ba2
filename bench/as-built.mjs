// Loads TypeScript as `npm run build` compiles it. A loader for development gives each function its name by a call, which
// was a tenth of the client's processor time for a search, and nobody who installs the package pays it.
import { readFile } from "node:fs/promises";
import { register } from "node:module";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";
import ts from "typescript";

// The hooks run in a thread of their own, which loads this file again.
if (isMainThread) register(import.meta.url);

const { config } = ts.readConfigFile(fileURLToPath(new URL("../tsconfig.json", import.meta.url)), (path) =>
  ts.sys.readFile(path),
);

/** @type {import("node:module").ResolveHook} */
export function resolve(specifier, context, next) {
  const ours = /^\.{1,2}\/.*\.js$/.test(specifier) && context.parentURL?.endsWith(".ts");
  return next(ours ? specifier.replace(/js$/, "ts") : specifier, context);
}

/** @type {import("node:module").LoadHook} */
export async function load(url, context, next) {
  if (!url.endsWith(".ts")) return next(url, context);
  const compilerOptions = { ...config.compilerOptions, module: "ESNext", noEmit: false };
  const source = await readFile(fileURLToPath(url), "utf8");
  const { outputText } = ts.transpileModule(source, { compilerOptions, fileName: url });
  return { format: "module", source: outputText, shortCircuit: true };
}
