import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { sharedData } from "../../test/helpers/shared-data.js";

export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface Corpus {
  readonly name: string;
  readonly text: string;
  readonly questions: readonly { readonly text: string; readonly gold: readonly Span[] }[];
}

/** The corpora with their questions; gold spans in UTF-16 code units. @throws when the set is not there. */
export async function readCorpora(): Promise<Corpus[]> {
  const folder = sharedData("chunking-eval");
  if (folder === undefined)
    throw new Error("The benchmark needs the set chunking-eval; see docs/benchmarks/chunking.md.");
  const rows = parse<{ question: string; references: string; corpus_id: string }>(
    await readFile(join(folder, "questions_df.csv"), "utf8"),
    { columns: true },
  );
  const names = ["chatlogs", "state_of_the_union", "wikitexts"];
  return Promise.all(
    names.map(async (name) => {
      const text = await readFile(join(folder, "corpora", `${name}.md`), "utf8");
      // The set counts code points.
      const units: number[] = [];
      for (let at = 0; at < text.length; at += text.codePointAt(at)! > 0xffff ? 2 : 1) units.push(at);
      units.push(text.length);
      const questions = rows
        .filter((row) => row.corpus_id === name)
        .map((row) => ({
          text: row.question,
          gold: (JSON.parse(row.references) as { start_index: number; end_index: number }[]).map((reference) => ({
            start: units[reference.start_index]!,
            end: units[reference.end_index]!,
          })),
        }));
      return { name, text, questions };
    }),
  );
}
