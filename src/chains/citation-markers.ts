const MARKER = /\s*\[\s*\d+(?:\s*[,;]\s*\d+)*\s*\]/g;
const UNFINISHED = /\s*(?:\[[\d\s,;]*)?$/;

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

/** {@link withoutUnknownMarkers} over a stream: the pieces add up to what it returns for the whole answer. */
export class MarkerFilter {
  readonly #passages: number;
  #received = "";
  #sent = 0;

  constructor(passages: number) {
    this.#passages = passages;
  }

  /** Returns what may be shown so far, `""` while a marker is unfinished. */
  push(text: string): string {
    this.#received += text;
    return this.#release(this.#received.length - UNFINISHED.exec(this.#received)![0].length);
  }

  /** Returns the rest at the end of the stream. */
  flush(): string {
    return this.#release(this.#received.length);
  }

  #release(length: number): string {
    const shown = withoutUnknownMarkers(this.#received.slice(0, length), this.#passages);
    const fresh = shown.slice(this.#sent);
    this.#sent = shown.length;
    return fresh;
  }
}

function inRange(marker: string, passages: number): number[] {
  const numbers = (marker.match(/\d+/g) ?? []).map(Number);
  return [...new Set(numbers)].filter((number) => number >= 1 && number <= passages);
}
