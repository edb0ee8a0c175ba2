import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { runCli } from "../../src/cli/program.js";

export interface CliRun {
  readonly code: number;
  /** What went to stdout. */
  readonly out: string;
  /** The parts of stdout that came without a line end, one by one. */
  readonly pieces: readonly string[];
  /** Lines of stderr. */
  readonly err: readonly string[];
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Lines of stdin. */
  readonly input?: readonly string[];
  /** Called with each line of stderr, as it comes. */
  readonly onErr?: (line: string) => void;
  /** Called with each result, as it comes. */
  readonly onOut?: (text: string) => void;
}

/** A folder for a test, and the command line run inside this process as if started there. */
export class CliFolder {
  /** Texts that must never be printed; every run is checked for them. */
  readonly secrets = ["sk-very-secret", "db-password"];
  readonly path = mkdtempSync(join(tmpdir(), "langchain-pgvector-cli-"));

  put(files: Readonly<Record<string, string | Uint8Array>>): void {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(this.path, name)), { recursive: true });
      writeFileSync(join(this.path, name), content);
    }
  }

  async run(args: readonly string[], options: CliOptions = {}): Promise<CliRun> {
    let out = "";
    const err: string[] = [];
    const pieces: string[] = [];
    const code = await runCli(args, {
      env: options.env ?? {},
      cwd: this.path,
      out: (text) => {
        out += `${text}\n`;
        options.onOut?.(text);
      },
      write: (text) => {
        out += text;
        pieces.push(text);
      },
      err: (text) => {
        err.push(text);
        options.onErr?.(text);
      },
      ...(options.input && {
        lines: async function* () {
          yield* options.input!;
        },
      }),
      signal: options.signal ?? new AbortController().signal,
    });
    const printed = out + err.join("\n");
    for (const secret of this.secrets) if (printed.includes(secret)) throw new Error(`Printed a secret:\n${printed}`);
    return { code, out, pieces, err };
  }

  /** A run that must succeed, and whose stdout is one JSON document. */
  async json<T>(args: readonly string[], options: CliOptions = {}): Promise<T> {
    const { code, out, err } = await this.run([...args, "--json"], options);
    if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}:\n${err.join("\n")}`);
    return JSON.parse(out) as T;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A PDF file of one line of Helvetica per page, with header, objects, cross-reference table and trailer. */
export function handMadePdf(pages: readonly string[]): Buffer {
  const resources = "/Resources << /Font << /F1 3 0 R >> >> /MediaBox [0 0 600 200]";
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    `<< /Type /Pages /Kids [${pages.map((_, page) => `${4 + 2 * page} 0 R`).join(" ")}] /Count ${pages.length} >>`,
    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
  ];
  for (const [page, text] of pages.entries()) {
    const content = `BT /F1 12 Tf 20 100 Td (${text}) Tj ET`;
    objects.push(`<< /Type /Page /Parent 2 0 R ${resources} /Contents ${5 + 2 * page} 0 R >>`);
    objects.push(`<< /Length ${content.length} >>\nstream\n${content}\nendstream`);
  }
  let file = "%PDF-1.4\n";
  let table = `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n`;
  for (const [index, object] of objects.entries()) {
    table += `${String(file.length).padStart(10, "0")} 00000 n \n`;
    file += `${index + 1} 0 obj\n${object}\nendobj\n`;
  }
  const trailer = `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${file.length}\n%%EOF\n`;
  return Buffer.from(file + table + trailer, "latin1");
}
