import type { IndexPlan } from "../../ops/indexes/plan.js";
import type { IndexProgress } from "../../store/watch-build.js";
import type { CliContext } from "../context.js";

export function printPlan(context: CliContext, { json }: { readonly json?: boolean }, plan: IndexPlan): void {
  if (json) return context.out(JSON.stringify(plan));
  const { steps, warnings, rows, memory } = plan;
  const size =
    memory === 0
      ? []
      : [
          `-- some ${Math.round(rows).toLocaleString("en")} rows; the build needs about ${Math.ceil(memory / 2 ** 20)} MiB`,
        ];
  context.out(
    [...warnings.map((warning) => `-- ${warning}`), ...size, ...steps.map(({ sql }) => sql.trimEnd())].join("\n"),
  );
}

/** A line of progress on stderr whenever something new is to be said. */
export function printProgress(context: CliContext): (progress: IndexProgress) => void {
  let last = "";
  return ({ message }) => {
    if (message !== last) context.err(message);
    last = message;
  };
}
