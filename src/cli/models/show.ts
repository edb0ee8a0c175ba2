import type { Command } from "commander";
import type { ModelInfo, ModelStatus } from "../../models/status.js";
import type { CliContext } from "../context.js";
import { addModelsCommand, withModels, type ModelsFlags } from "./open-models.js";

/** `list` and `status`. */
export function addModelsShow(models: Command, context: CliContext): void {
  addModelsCommand(models, "list", "the model versions of a store, with their fingerprints")
    .option("--plan", "the same: it changes nothing")
    .action((flags: ModelsFlags) =>
      withModels(context, flags, async (admin) => {
        const versions = await admin.list();
        context.out(flags.json ? JSON.stringify(versions) : versions.map(line).join("\n"));
      }),
    );
  addModelsCommand(models, "status", "how far each version has come, and which processes have its embedder")
    .option("--plan", "the same: it changes nothing")
    .action((flags: ModelsFlags) =>
      withModels(context, flags, async (admin) => {
        const status = await admin.status();
        if (flags.json) return context.out(JSON.stringify(status));
        const processes = status.processes.map(
          ({ label, fingerprints }) => `process ${label}: ${fingerprints.join(", ")}`,
        );
        context.out([...status.versions.map(statusLines), ...processes].join("\n"));
      }),
    );
}

function line({
  version,
  state,
  fingerprint,
  metric,
  storageType,
  dimensions,
  column,
  quantization,
}: ModelInfo): string {
  const quantized = quantization === "none" ? "" : ", indexed by signs";
  return `${version}  ${state.padEnd(8)}  ${fingerprint}  ${metric}, ${storageType}(${dimensions})${quantized} in ${column}`;
}

function statusLines(status: ModelStatus): string {
  const { rows, missing, setAside, leases, hotRatio, indexed, comparison } = status;
  const details = [
    `${missing} of ${rows} rows wait for their vector`,
    ...(setAside === 0 ? [] : [`${setAside} set aside`]),
    ...(leases.total === 0 ? [] : [`leases ${leases.done} of ${leases.total} done, ${leases.busy} in work`]),
    ...(hotRatio === undefined ? [] : [`${(hotRatio * 100).toFixed(1)} % in place`]),
    indexed ? "indexed" : "no index",
    ...(comparison === undefined ? [] : [comparison.passed ? "comparison passed" : "comparison failed"]),
  ];
  return `${line(status)}\n   ${details.join(", ")}`;
}
