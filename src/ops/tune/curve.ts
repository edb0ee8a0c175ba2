import { formatSetting } from "../../store/index-note.js";
import type { TunePoint } from "./recommend.js";
import type { TuneReport } from "./tune.js";

const BAR = 30;

/** The settings with their recall as bars, for a terminal. The bars begin at the lowest recall, which is rarely 0. */
export function drawCurve({ points, recommended, targetRecall, k, reached }: TuneReport): string {
  const least = Math.min(targetRecall, ...points.map(({ recall }) => recall));
  const floor = Math.max(0, least - 0.1 * (1 - least) - 0.001);
  const lines = points.map((point) => {
    const length = Math.round((BAR * (point.recall - floor)) / (1 - floor));
    const chosen = sameSetting(point, recommended) ? (reached ? "  <- recommended" : "  <- nearest to the target") : "";
    return (
      `${formatSetting(point.setting).padEnd(14)} ${"#".repeat(length).padEnd(BAR, ".")} ` +
      `${point.recall.toFixed(4)}  ${milliseconds(point.p50Ms)} ${milliseconds(point.p95Ms)}${chosen}`
    );
  });
  const head = `${"setting".padEnd(14)} ${`recall@${k} from ${floor.toFixed(3)} to 1, target ${targetRecall}`.padEnd(BAR)} ${"recall".padEnd(6)}  ${"p50 ms".padStart(8)} ${"p95 ms".padStart(8)}`;
  return [head, ...lines].join("\n");
}

export function sameSetting(a: TunePoint, b: TunePoint): boolean {
  return formatSetting(a.setting) === formatSetting(b.setting);
}

function milliseconds(value: number): string {
  return value.toFixed(2).padStart(8);
}
