import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { ConfigurationError, LoadError } from "../../errors.js";
import type { Relevance } from "./metrics.js";

export interface LabelledQuestion {
  readonly id: string;
  readonly text: string;
  readonly relevance: Relevance;
}

export interface LabelledDocument {
  readonly id: string;
  readonly text: string;
}

/** Questions with what is relevant to each, and the documents where the set brings them along. */
export interface LabelledSet {
  readonly name: string;
  /** Those that have a relevant document. `position` counts the lines of the file, from 0. */
  readonly questions: readonly (LabelledQuestion & { readonly position: number })[];
  readonly documents: readonly LabelledDocument[] | undefined;
}

/**
 * Reads a labelled set: a folder in the layout of BEIR (`queries.jsonl`, `qrels/<split>.tsv`, and `corpus.jsonl` if the
 * documents come along), or a JSON Lines file of `{ question, relevant }`, where `relevant` is a list of ids or an object
 * of grades by id.
 *
 * @param split the file of judgements of a folder. @defaultValue `test` where it is there, else the only one
 * @throws LoadError naming the file and the line.
 * @throws ConfigurationError when it has to be said which split.
 */
export async function readLabelledSet(path: string, split?: string): Promise<LabelledSet> {
  const set = extname(path) === ".jsonl" ? await readQuestions(path, split) : await readBeir(path, split);
  if (set.questions.length > 0) return set;
  throw new LoadError(`${path} has no question with a relevant document.`, path);
}

async function readQuestions(path: string, split: string | undefined): Promise<LabelledSet> {
  if (split !== undefined) {
    throw new ConfigurationError(`${path} has its judgements in itself; --split goes with a folder in BEIR's layout.`);
  }
  const records = await readJsonLines(path);
  const questions = records.map(({ record, place }, position) => {
    const { id, question, relevant } = record;
    if (typeof question !== "string" || question.trim() === "") throw new LoadError(`${place}: has no question.`, path);
    return {
      id: idOf(id) ?? String(position + 1),
      text: question,
      relevance: gradesOf(relevant, place, path),
      position,
    };
  });
  return { name: basename(path, ".jsonl"), questions: questions.filter(isAnswerable), documents: undefined };
}

async function readBeir(folder: string, split: string | undefined): Promise<LabelledSet> {
  const queries = join(folder, "queries.jsonl");
  if (!existsSync(queries)) {
    throw new LoadError(
      `${folder} is no labelled set: give a .jsonl file of { question, relevant }, or a folder with queries.jsonl and qrels/.`,
      folder,
    );
  }
  const judgements = await readJudgements(folder, split);
  const questions = (await readJsonLines(queries)).map(({ record, place }, position) => {
    const { id, text } = textOf(record, place, queries);
    return { id, text, relevance: judgements.get(id) ?? new Map<string, number>(), position };
  });
  const corpus = join(folder, "corpus.jsonl");
  const documents = existsSync(corpus)
    ? (await readJsonLines(corpus)).map(({ record, place }) => textOf(record, place, corpus))
    : undefined;
  return { name: basename(folder), questions: questions.filter(isAnswerable), documents };
}

async function readJudgements(folder: string, split: string | undefined): Promise<Map<string, Map<string, number>>> {
  const qrels = join(folder, "qrels");
  const splits = existsSync(qrels)
    ? (await readdir(qrels)).filter((name) => name.endsWith(".tsv")).map((name) => basename(name, ".tsv"))
    : [];
  const chosen = split ?? (splits.includes("test") ? "test" : splits.length === 1 ? splits[0] : undefined);
  if (chosen === undefined || !splits.includes(chosen)) {
    const there = splits.length === 0 ? "none" : splits.toSorted().join(", ");
    throw new ConfigurationError(
      `${qrels} has no judgements "${chosen ?? "test"}.tsv"; there are: ${there}. Say which with --split.`,
    );
  }
  const path = join(qrels, `${chosen}.tsv`);
  const judgements = new Map<string, Map<string, number>>();
  const lines = (await readFile(path, "utf8")).split(/\r?\n/);
  lines.forEach((line, index) => {
    // The first line names the columns.
    if (index === 0 || line === "") return;
    const [question, document, grade] = line.split("\t");
    if (document === undefined || !Number.isFinite(Number(grade ?? 1))) {
      throw new LoadError(`${path}, line ${index + 1}: is not "query-id<tab>corpus-id<tab>score".`, path);
    }
    const grades = judgements.get(question!) ?? new Map<string, number>();
    judgements.set(question!, grades.set(document, Number(grade ?? 1)));
  });
  return judgements;
}

async function readJsonLines(path: string): Promise<{ record: Record<string, unknown>; place: string }[]> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new LoadError(`${path} cannot be read: ${(cause as Error).message}`, path, { cause });
  });
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const place = `${path}, line ${index + 1}`;
    try {
      const record: unknown = JSON.parse(line);
      if (isRecord(record)) return [{ record, place }];
    } catch (cause) {
      throw new LoadError(`${place}: is not JSON: ${(cause as Error).message}`, path, { cause });
    }
    throw new LoadError(`${place}: is not an object.`, path);
  });
}

function textOf(record: Record<string, unknown>, place: string, path: string): LabelledDocument {
  const { _id, title, text } = record;
  const id = idOf(_id);
  if (id === undefined || typeof text !== "string") throw new LoadError(`${place}: has no _id and text.`, path);
  return { id, text: typeof title === "string" && title !== "" ? `${title}\n${text}` : text };
}

function gradesOf(relevant: unknown, place: string, path: string): Map<string, number> {
  const entries = Array.isArray(relevant)
    ? relevant.map((id) => [idOf(id), 1] as const)
    : isRecord(relevant)
      ? Object.entries(relevant)
      : [[undefined, 1] as const];
  return new Map(
    entries.map(([id, grade]) => {
      if (id !== undefined && typeof grade === "number" && Number.isFinite(grade)) return [id, grade];
      throw new LoadError(`${place}: "relevant" must be a list of ids, or an object of grades by id.`, path);
    }),
  );
}

function idOf(id: unknown): string | undefined {
  if (typeof id === "string" && id !== "") return id;
  return typeof id === "number" ? String(id) : undefined;
}

function isAnswerable({ relevance }: LabelledQuestion): boolean {
  return [...relevance.values()].some((grade) => grade > 0);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
