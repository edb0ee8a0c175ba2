import { CoverageReranker } from "../../chains/post-process/coverage-reranker.js";
import { diversify } from "../../chains/post-process/diversify.js";
import { neighbours } from "../../chains/post-process/neighbours.js";
import { parents } from "../../chains/post-process/parents.js";
import { ConfigurationError } from "../../errors.js";
import type { EvalMode } from "../../ops/eval/evaluate.js";
import { checkWeights, type FusionWeights } from "../../store/fusion/fusion.js";
import type { Filter } from "../../store/filter/index.js";
import type { SearchType } from "../../store/options.js";
import type { SearchOptions } from "../../store/search-hit.js";

/** The settings that modes share. */
export interface ModeFlags {
  readonly base?: SearchType;
  readonly filter?: Filter;
  readonly fetchK?: number;
  readonly fusion?: "relativeScore" | "rrf" | "distribution";
  readonly weights?: FusionWeights;
  readonly lambda?: number;
}

const SEARCH_TYPES: readonly string[] = ["similarity", "lexical", "hybrid"] satisfies SearchType[];

/** What is done after a search of the base mode. */
const STEPS: Readonly<Record<string, (flags: ModeFlags) => SearchOptions>> = {
  rerank: () => ({ rerank: new CoverageReranker() }),
  mmr: ({ lambda }) => ({ postProcess: [diversify(lambda === undefined ? {} : { lambda })] }),
  neighbours: () => ({ postProcess: [neighbours()] }),
  parents: () => ({ postProcess: [parents()] }),
};

export const MODE_NAMES: readonly string[] = [...SEARCH_TYPES, ...Object.keys(STEPS)];

/** @throws ConfigurationError for a name that is none, and for settings that cannot be. */
export function evalModes(names: readonly string[], flags: ModeFlags): EvalMode[] {
  const { base = "hybrid", filter, fetchK, fusion } = flags;
  const settings = { filter, fusion, weights: checkWeights(flags.weights) };
  return names.map((name) => {
    if (SEARCH_TYPES.includes(name)) return { name, options: { ...settings, searchType: name as SearchType } };
    const step = Object.hasOwn(STEPS, name) ? STEPS[name] : undefined;
    if (step !== undefined) return { name, options: { ...settings, searchType: base, fetchK, ...step(flags) } };
    throw new ConfigurationError(`There is no mode ${JSON.stringify(name)}; there are ${MODE_NAMES.join(", ")}.`);
  });
}
