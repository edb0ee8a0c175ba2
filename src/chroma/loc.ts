type Metadata = Record<string, unknown>;

/** LangChain's `Chroma` keeps `loc.lines` of text splitters as `locFrom` and `locTo`, and drops the rest of `loc`. */
export function flattenLoc(metadata: Metadata): Metadata {
  const { loc, ...rest } = metadata;
  if (!loc) return metadata;
  const { from, to } = (loc as { lines?: { from?: unknown; to?: unknown } }).lines ?? {};
  return { ...rest, ...(from !== undefined && { locFrom: from }), ...(to !== undefined && { locTo: to }) };
}

/** What {@link flattenLoc} made, back in its first shape. */
export function restoreLoc(metadata: Metadata): Metadata {
  const { locFrom, locTo, ...rest } = metadata;
  return locFrom && locTo ? { ...rest, loc: { lines: { from: locFrom, to: locTo } } } : metadata;
}
