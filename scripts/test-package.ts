/**
 * Tests the package as users get it: packs it, installs the tarball into an empty folder from the registry, runs the demo
 * and the README's first example there, and type-checks that example against the packed types. Prints what the install
 * takes on disk. Ends within ten minutes, or fails.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const deadline = Date.now() + 10 * 60_000;

interface PackageJson {
  readonly name: string;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

/** Everything that may be published, and what must be. */
const PUBLISHED = /^(dist\/.+|docs\/production-guide\.md|README\.md|LICENSE|CHANGELOG\.md|package\.json)$/;
const REQUIRED = ["dist/index.js", "dist/cli/main.js", "docs/production-guide.md", "README.md", "LICENSE"];

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Runs a program to its end and returns its stdout. @throws Error with its output when it fails or takes too long. */
function run(command: string, args: readonly string[], cwd: string): string {
  const started = Date.now();
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    timeout: Math.max(1, deadline - started),
    maxBuffer: 64 * 2 ** 20,
  });
  const line = [command, ...args].join(" ");
  if (status !== 0) throw new Error(`${line} failed: ${error?.message ?? ""}\n${stdout}\n${stderr}`);
  say(`ok: ${line} (${((Date.now() - started) / 1_000).toFixed(1)} s)`);
  return stdout;
}

function check(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

/** @returns the path of the tarball. */
function pack(folder: string): string {
  const [packed] = JSON.parse(run("npm", ["pack", "--silent", "--json", "--pack-destination", folder], root)) as [
    { filename: string; size: number; unpackedSize: number; files: { path: string }[] },
  ];
  const paths = packed.files.map((file) => file.path);
  const strangers = paths.filter((path) => !PUBLISHED.test(path));
  const missing = REQUIRED.filter((path) => !paths.includes(path));
  check(strangers.length === 0, `The package must not hold ${strangers.join(", ")}.`);
  check(missing.length === 0, `The package lacks ${missing.join(", ")}.`);
  say(`tarball: ${paths.length} files, ${kilobytes(packed.size)} packed, ${kilobytes(packed.unpackedSize)} unpacked`);
  return join(folder, packed.filename);
}

function install(folder: string, tarball: string): void {
  const { peerDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as PackageJson;
  const peers = Object.entries(peerDependencies).map(([name, range]) => `${name}@${range}`);
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }));
  run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error", tarball, ...peers], folder);
  reportSize(join(folder, "node_modules"));
}

/** What the install takes on disk, and the packages that take most of it. */
function reportSize(modules: string): void {
  const packages = readdirSync(modules).flatMap((name) =>
    name.startsWith("@") ? readdirSync(join(modules, name)).map((inner) => `${name}/${inner}`) : [name],
  );
  const sizes = packages
    .map((name) => ({ name, bytes: bytesIn(join(modules, name)) }))
    .toSorted((one, other) => other.bytes - one.bytes);
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  say(`installed: ${packages.length} packages, ${megabytes(total)}`);
  for (const { name, bytes } of sizes.slice(0, 10)) say(`  ${megabytes(bytes).padStart(8)}  ${name}`);
}

/** On disk, in whole blocks, as `du` counts. */
function bytesIn(path: string): number {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined || !stats.isDirectory()) return (stats?.blocks ?? 0) * 512;
  return readdirSync(path).reduce((sum, name) => sum + bytesIn(join(path, name)), 0);
}

function runDemo(folder: string): void {
  const lines = run("npx", ["langchain-pgvector", "demo"], folder).trimEnd().split("\n");
  check(lines.length <= 40, `The demo printed ${lines.length} lines; 40 are allowed.`);
  check(
    lines.some((line) => line.startsWith("A: I don't know")),
    "The demo answered the question that it cannot answer.",
  );
  check(
    lines.some((line) => /^ {3}\[1\] production-guide\.md, line/.test(line)),
    "The demo cited nothing.",
  );
}

/** The first example of the README, and what the README says it prints. */
function runReadme(folder: string): void {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const [, code, printed] = /```ts\n([^]*?)```\s*```text\n([^]*?)```/.exec(readme) ?? [];
  if (code === undefined || printed === undefined) throw new Error("The README has no example followed by its output.");
  writeFileSync(join(folder, "readme.mjs"), code);
  const output = run("node", ["readme.mjs"], folder);
  check(output.trim() === printed.trim(), `The README's example printed:\n${output}\nbut the README says:\n${printed}`);

  writeFileSync(join(folder, "readme.ts"), code);
  const compilerOptions = {
    target: "ES2023",
    module: "NodeNext",
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    typeRoots: [join(root, "node_modules/@types")],
    types: ["node"],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["readme.ts"] }));
  run("node", [join(root, "node_modules/typescript/bin/tsc"), "-p", "."], folder);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1e3).toFixed(0)} kB`;
}

const folder = mkdtempSync(join(tmpdir(), "langchain-pgvector-package-"));
try {
  install(folder, pack(folder));
  runDemo(folder);
  runReadme(folder);
  say("the package works");
} finally {
  rmSync(folder, { recursive: true, force: true });
}
