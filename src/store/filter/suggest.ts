/** The names in `known` that `name` is probably a misspelling of: nearest first, at most two. */
export function closest(name: string, known: readonly string[]): string[] {
  const wanted = bare(name);
  const tolerance = Math.max(1, Math.floor(wanted.length / 3));
  return known
    .map((candidate) => ({
      candidate,
      distance: editDistance(wanted, bare(candidate)),
      sameStyle: candidate.startsWith("$") === name.startsWith("$"),
    }))
    .filter(({ distance }) => distance <= tolerance)
    .toSorted((a, b) => a.distance - b.distance || Number(b.sameStyle) - Number(a.sameStyle))
    .slice(0, 2)
    .map(({ candidate }) => candidate);
}

/** `$not_in`, `notIn` and `not-in` are one name to whoever mistypes it. */
function bare(name: string): string {
  // Longer names are no misspelling of ours, and the distance costs the product of both lengths.
  return name
    .slice(0, 32)
    .replaceAll(/[^A-Za-z]/g, "")
    .toLowerCase();
}

/** Levenshtein distance in UTF-16 units. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const substituted = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(substituted, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
