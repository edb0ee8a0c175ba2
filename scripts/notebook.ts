/** A cell of a notebook, as far as the runner needs to know it (nbformat 4). */
export interface Cell {
  readonly cell_type: "code" | "markdown" | "raw";
  /** Text, or its lines with their line ends. */
  readonly source: string | readonly string[];
  execution_count?: number | null;
  outputs?: Output[];
}

/** What a cell printed, or how it failed. */
export interface Output {
  readonly output_type: string;
  readonly name?: string;
  readonly text?: string | readonly string[];
}

export interface Notebook {
  readonly cells: readonly Cell[];
  readonly metadata: { readonly kernelspec?: { readonly name?: string } };
}

/** The code cells of a notebook as one module that says on both streams where each cell begins. */
export interface NotebookModule {
  readonly code: string;
  /** The cell that a line of the module (from 1) stands in, and the line there; both from 1. */
  placeOf(line: number): { cell: number; line: number } | undefined;
}

const MARKER = "\u0001cell\u0001";

/** Cells are numbered from 1 among the code cells, as Jupyter numbers them when it runs them in order. */
export function codeCells(notebook: Notebook): Cell[] {
  return notebook.cells.filter((cell) => cell.cell_type === "code");
}

export function toModule(cells: readonly Cell[]): NotebookModule {
  const lines: string[] = [];
  const places: { cell: number; line: number }[] = [];
  cells.forEach((cell, index) => {
    const marker = JSON.stringify(MARKER);
    places[lines.length] = { cell: index + 1, line: 1 };
    lines.push(`process.stdout.write(${marker}); process.stderr.write(${marker});`);
    textOf(cell.source)
      .split("\n")
      .forEach((line, offset) => {
        places[lines.length] = { cell: index + 1, line: offset + 1 };
        lines.push(line);
      });
  });
  return { code: `${lines.join("\n")}\nexport {};\n`, placeOf: (line) => places[line - 1] };
}

/** What each cell that began has printed to one stream; anything before the first cell counts as the first one's. */
export function byCell(stream: string): string[] {
  const [before, first, ...rest] = stream.split(MARKER);
  return first === undefined ? [before!] : [before! + first, ...rest];
}

export function textOf(text: string | readonly string[] = ""): string {
  return typeof text === "string" ? text : text.join("");
}

/** Outputs as Jupyter stores them: at most one for each stream. */
export function streamOutputs(printed: { stdout: string; stderr: string }): Output[] {
  return (["stdout", "stderr"] as const)
    .filter((name) => printed[name] !== "")
    .map((name) => ({ name, output_type: "stream", text: printed[name].split(/(?<=\n)/) }));
}
