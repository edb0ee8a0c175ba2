const MARKER = /\s*\[\s*\d+(?:\s*[,;]\s*\d+)*\s*\]/g;

/** A `[n]` or `[n, m]` in an answer. */
export interface Marker {
  /** Numbers in range, in the order written, without repeats. */
  readonly indexes: readonly number[];
  /** Offset of the marker in the answer. */
  readonly at: number;
  /** Offset just after it. */
  readonly end: number;
}

/** Finds the markers of an answer whose numbers are in `1..passages`. */
export function markersOf(answer: string, passages: number): Marker[] {
  return [...answer.matchAll(MARKER)]
    .map((match) => ({
      indexes: inRange(match[0], passages),
      at: match.index,
      end: match.index + match[0].length,
    }))
    .filter(({ indexes }) => indexes.length > 0);
}

/** Takes numbers out of range out of the markers of an answer, and markers that are left with none. */
export function withoutUnknownMarkers(answer: string, passages: number): string {
  return answer.replace(MARKER, (marker) => {
    const indexes = inRange(marker, passages);
    const known = indexes.length === marker.match(/\d+/g)!.length;
    if (known) return marker;
    return indexes.length === 0 ? "" : `${/^\s*/.exec(marker)![0]}[${indexes.join(", ")}]`;
  });
}

function inRange(marker: string, passages: number): number[] {
  const numbers = (marker.match(/\d+/g) ?? []).map(Number);
  return [...new Set(numbers)].filter((number) => number >= 1 && number <= passages);
}
