import type { FilterNode } from "./grammar.js";

/** All of several parsed filters, such as a store's own, a call's and its `whereDocument`; missing ones do not count. */
export function combineFilters(...nodes: readonly (FilterNode | undefined)[]): FilterNode | undefined {
  const present = nodes.filter((node) => node !== undefined);
  return present.length <= 1 ? present[0] : { kind: "all", nodes: present };
}
