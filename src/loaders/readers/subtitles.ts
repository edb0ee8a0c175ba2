import { LoadError } from "../../errors.js";
import type { Part, RawSource, Reading } from "./reading.js";

interface Cue {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** Cues are gathered to about this many characters: a cue alone says too little, and a part knows its time. */
const PART_CHARACTERS = 600;
const TIMING = /^\s*((?:\d+:)?\d+:\d+[.,]\d+)\s+-->\s+((?:\d+:)?\d+:\d+[.,]\d+)/;

/**
 * Subtitles in the formats SubRip and WebVTT, as parts of about half a minute with `metadata.time` in seconds.
 *
 * @throws LoadError when there is no cue at all.
 * @see https://www.w3.org/TR/webvtt1/#syntax
 */
export function readSubtitles(raw: RawSource, text: string): Reading {
  const cues = parseCues(text);
  if (cues.length === 0) throw new LoadError(`"${raw.source}" holds no subtitles with times.`, raw.source);
  const parts: Part[] = [];
  let group: Cue[] = [];
  const flush = (): void => {
    const spoken = group.map((cue) => cue.text).join("\n");
    const [first, last] = [group[0], group.at(-1)];
    group = [];
    if (first === undefined || last === undefined || spoken.trim() === "") return;
    parts.push({ text: spoken, metadata: { time: { from: first.from, to: last.to } } });
  };
  let size = 0;
  for (const cue of cues) {
    if (size + cue.text.length > PART_CHARACTERS) {
      flush();
      size = 0;
    }
    group.push(cue);
    size += cue.text.length + 1;
  }
  flush();
  return { parts };
}

function parseCues(text: string): Cue[] {
  const cues: Cue[] = [];
  for (const block of text.split(/\r?\n(?:[ \t]*\r?\n)+/)) {
    const lines = block.split(/\r?\n/);
    const at = lines.findIndex((line) => TIMING.test(line));
    const timing = TIMING.exec(lines[at] ?? "");
    if (timing === null) continue;
    // Tags of voices, styles and karaoke times.
    const spoken = lines
      .slice(at + 1)
      .join("\n")
      .replace(/<[^>\n]*>|\{\\[^}\n]*\}/g, "")
      .trim();
    if (spoken !== "") cues.push({ from: seconds(timing[1]!), to: seconds(timing[2]!), text: spoken });
  }
  return cues;
}

function seconds(time: string): number {
  const total = time
    .replace(",", ".")
    .split(":")
    .reduce((sum, part) => sum * 60 + Number(part), 0);
  return Math.round(total * 1_000) / 1_000;
}
