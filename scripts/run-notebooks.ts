/**
 * Type-checks every notebook in `notebooks/` and runs its code cells in order, in one process for each notebook, as
 * Jupyter would. Fails when a cell fails and when the stored outputs are not what the cells print now; `--write` stores
 * the new ones.
 *
 * The kernel itself (tslab) is stricter in one way that is not checked here: it does not find a name of another cell in
 * a shorthand property, so write `{ pool: pool }` there. It also shows the value of a cell's last expression; end cells
 * with `console.log(...)` or a declaration.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { byCell, codeCells, streamOutputs, textOf, toModule, type Notebook, type NotebookModule } from "./notebook.js";
import { runScript } from "./run-script.js";
import { ROOT, typeCheck } from "./type-check.js";

const FOLDER = join(ROOT, "notebooks");
const write = process.argv.includes("--write");

/** Prints what the cells print. @throws Error naming the cell that fails */
function check(name: string): void {
  const path = join(FOLDER, name);
  const notebook = JSON.parse(readFileSync(path, "utf8")) as Notebook;
  if (notebook.metadata.kernelspec?.name !== "tslab") throw new Error('the kernelspec must be "tslab"');
  const cells = codeCells(notebook);
  const module = toModule(cells);
  const printed = run(name, module);
  cells.forEach((cell, index) => {
    const outputs = streamOutputs(printed[index]!);
    print(`--- ${name}, cell ${index + 1}\n${outputs.map((output) => textOf(output.text)).join("")}`);
    if (write) {
      cell.outputs = outputs;
      cell.execution_count = index + 1;
    } else if (JSON.stringify(comparable(cell.outputs)) !== JSON.stringify(comparable(outputs))) {
      throw new Error(
        `cell ${index + 1}: the stored output is not what the cell prints; run: npm run notebooks -- --write`,
      );
    }
  });
  if (write) writeFileSync(path, `${JSON.stringify(notebook, undefined, 1)}\n`);
}

/** What each cell printed. @throws Error with the cell and the line for a type error and for a failing cell */
function run(name: string, module: NotebookModule): { stdout: string; stderr: string }[] {
  const file = join(ROOT, ".cache/notebooks", name.replace(/\.ipynb$/, ".ts"));
  const problems = typeCheck(new Map([[file, module.code]]));
  if (problems.length > 0) {
    throw new Error(problems.map((problem) => `${placed(module, problem.line)}: ${problem.message}`).join("\n"));
  }
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, module.code);
  const result = runScript(file, [], FOLDER);
  rmSync(file);
  const stdout = byCell(result.stdout);
  const stderr = byCell(result.stderr);
  if (result.status !== 0) {
    const trace = stderr.at(-1)!.replaceAll(/(?:file:\/\/)?([^\s():]+):(\d+)(?=:\d+|\n)/g, (text, path, line) => {
      return path === file ? placed(module, Number(line)) : text;
    });
    throw new Error(`cell ${stderr.length}: ${stdout[stderr.length - 1] ?? ""}${trace.trim()}`);
  }
  const secret = [ROOT, homedir()].find((path) => path !== "/" && result.stdout.concat(result.stderr).includes(path));
  if (secret !== undefined) throw new Error(`the output names a folder of this machine: ${secret}`);
  return stdout.map((text, index) => ({ stdout: text, stderr: stderr[index]! }));
}

function placed(module: NotebookModule, line: number): string {
  const place = module.placeOf(line);
  return place ? `cell ${place.cell}, line ${place.line}` : "after the last cell";
}

/** Jupyter may split one stream over several outputs; errors and results never match what the runner produces. */
function comparable(outputs: Notebook["cells"][number]["outputs"] = []): unknown {
  const streams: Record<string, string> = {};
  for (const { output_type, name = "", text } of outputs) {
    const key = `${output_type} ${name}`;
    streams[key] = (streams[key] ?? "") + textOf(text);
  }
  return Object.entries(streams).toSorted();
}

function print(text: string): void {
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
}

let failed = 0;
const names = readdirSync(FOLDER).filter((name) => name.endsWith(".ipynb"));
for (const name of names.toSorted()) {
  try {
    check(name);
    print(`passed: ${name}`);
  } catch (error) {
    failed += 1;
    print(`FAILED: ${name}: ${(error as Error).message}`);
  }
}
print(`${names.length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 || names.length === 0 ? 1 : 0;
