import type { SearchSetting } from "../../store/index-note.js";
import type { Measured } from "./measure.js";

/** One setting, and what searches with it came to. */
export interface TunePoint extends Measured {
  readonly setting: SearchSetting;
  /** Recall of the questions that are kept back, where they were asked. */
  readonly heldBackRecall?: number | undefined;
}

/** How far below the target the recall of other questions may come out. */
const TOLERANCE = 0.005;
/** Standard errors by which a setting has to miss for a part of the questions to be enough. */
const SURE = 3;

/** One question in so many is kept back. */
export const HOLD_BACK = 3;

/**
 * Whether a setting reaches the target. Where the questions that are kept back were asked, it has to reach it with all
 * questions together and come within the tolerance with those: the fastest of many that reach it may have been lucky.
 */
export function qualifies({ recall, heldBackRecall }: TunePoint, target: number): boolean {
  if (recall < target || heldBackRecall === undefined) return recall >= target;
  const together = ((HOLD_BACK - 1) * recall + heldBackRecall) / HOLD_BACK;
  return together >= target && heldBackRecall >= target - TOLERANCE;
}

/** Whether more questions would not bring a setting to the target. */
export function isHopeless({ recall, error }: Measured, target: number): boolean {
  return recall + SURE * error < target - TOLERANCE;
}

/** The settings that reach the target, the fastest first. */
export function candidates(points: readonly TunePoint[], target: number): TunePoint[] {
  return points.filter((point) => qualifies(point, target)).toSorted((a, b) => a.p50Ms - b.p50Ms);
}

/**
 * The setting to try next between the most thorough one that fails and the least thorough one that does not; `undefined`
 * when there is none worth the searches.
 */
export function between(points: readonly TunePoint[], target: number): SearchSetting | undefined {
  const byEffort = points.toSorted((a, b) => effort(a.setting) - effort(b.setting));
  const first = byEffort.findIndex((point) => qualifies(point, target));
  if (first < 1) return undefined;
  const [low, high] = [byEffort[first - 1]!, byEffort[first]!];
  const middle = Math.round((effort(low.setting) + effort(high.setting)) / 2);
  // Closer settings are told apart by chance.
  if (effort(high.setting) - effort(low.setting) < 0.15 * effort(high.setting) || middle <= effort(low.setting)) {
    return undefined;
  }
  return high.setting.efSearch === undefined ? { probes: middle } : { efSearch: middle };
}

/** Candidates or lists that a setting looks at. */
export function effort({ efSearch, probes }: SearchSetting): number {
  return efSearch ?? probes;
}
