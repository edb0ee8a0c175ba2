import type { EmbeddingsSpec } from "../embeddings/spec.js";
import type { ChatModelSpec } from "./chat-model.js";
import type { CliContext } from "./context.js";
import { describeModel } from "./describe-model.js";
import type { Target } from "./target.js";

/** The first line on stderr: where this goes, for whom, and which models see it. */
export function announce(
  context: CliContext,
  target: Target,
  spec: EmbeddingsSpec | undefined,
  chat?: ChatModelSpec,
  tenant = "default",
): void {
  const embedder = spec === undefined ? "none needed" : describeModel(spec);
  const answers = chat === undefined ? "" : ` · chat model: ${describeModel(chat)}`;
  context.err(`database: ${target.label} · tenant: ${tenant} · embedder: ${embedder}${answers}`);
}
