import type { Runnable } from "@langchain/core/runnables";
import type { CallbackHandlerMethods } from "@langchain/core/callbacks/base";
import { formatCitation, type Citation, type RagChainInput, type RagChainOutput } from "../chains/index.js";
import type { CliContext } from "./context.js";

export type RagChain = Runnable<RagChainInput, RagChainOutput>;

/** What a call of a chain is made with. */
export interface AnswerCall {
  readonly callbacks?: CallbackHandlerMethods[];
  readonly configurable?: Record<string, unknown>;
}

/** Prints one JSON document on one line. */
export async function printJsonAnswer(
  context: CliContext,
  chain: RagChain,
  input: string,
  call: AnswerCall = {},
): Promise<RagChainOutput> {
  const output = await chain.invoke({ input }, { ...call, signal: context.signal });
  const { answer, citations, abstained, unverified, usage } = output;
  context.out(JSON.stringify({ question: input, answer, citations, abstained, unverified, ...(usage && { usage }) }));
  return output;
}

/** Prints the answer as it comes, then what it rests on. */
export async function printAnswer(
  context: CliContext,
  chain: RagChain,
  input: string,
  call: AnswerCall = {},
): Promise<RagChainOutput> {
  const output: RagChainOutput = { answer: "", context: [], citations: [], abstained: false, unverified: [] };
  try {
    for await (const { answer = "", ...rest } of await chain.stream({ input }, { ...call, signal: context.signal })) {
      if (answer !== "") context.write(answer);
      Object.assign(output, rest, { answer: output.answer + answer });
    }
  } finally {
    // An answer that breaks off must not run into the prompt.
    if (output.answer !== "") context.write("\n");
  }
  if (output.citations.length > 0) context.out("");
  for (const line of citationLines(output.citations)) context.out(line);
  for (const quote of output.unverified) context.err(`removed, as no chunk holds it: "${quote}"`);
  return output;
}

/** One line for each citation: number, place, and the quote as it stands in the chunk but on one line. */
export function citationLines(citations: readonly Citation[]): string[] {
  return citations.map((citation) => {
    const quote = citation.quote.replace(/\s+/g, " ");
    return `[${citation.index}] ${formatCitation(citation)}: "${quote}"`;
  });
}
