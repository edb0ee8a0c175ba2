import { readFile } from "node:fs/promises";
import { LoadError } from "../../errors.js";
import type { AnswerQuestion } from "./evaluate-answers.js";

/**
 * Reads questions with their gold answers from a JSON Lines file of `{ question, answers?, documents?, id? }`; one without
 * answers is a question that the documents do not answer.
 *
 * @throws LoadError naming the file and the line
 */
export async function readAnswerSet(path: string): Promise<AnswerQuestion[]> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new LoadError(`${path} cannot be read: ${(cause as Error).message}`, path, { cause });
  });
  const questions = text
    .split("\n")
    .flatMap((line, index) => (line.trim() === "" ? [] : [toQuestion(line, path, index + 1)]));
  if (questions.length > 0) return questions;
  throw new LoadError(`${path} has no question.`, path);
}

function toQuestion(line: string, path: string, number: number): AnswerQuestion {
  const problem = (what: string): LoadError => new LoadError(`${path}, line ${number}: ${what}`, path);
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(line) as Record<string, unknown>;
  } catch {
    throw problem("is not JSON.");
  }
  const { id = String(number), question, answers, documents } = record ?? {};
  if (typeof question !== "string" || question.trim() === "") throw problem("has no question.");
  for (const [name, value] of Object.entries({ answers, documents })) {
    if (value === undefined || (Array.isArray(value) && value.every((one) => typeof one === "string"))) continue;
    throw problem(`${name} must be a list of texts.`);
  }
  return {
    id: String(id),
    question,
    answers: answers as string[] | undefined,
    documents: documents as string[] | undefined,
  };
}
