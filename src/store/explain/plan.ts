/** A node of `explain (format json)`, as far as it is looked at. */
export interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Index Name"?: string;
  readonly "Plan Rows": number;
  readonly "Actual Rows"?: number;
  readonly "Actual Loops"?: number;
  readonly "Rows Removed by Filter"?: number;
  readonly "Order By"?: string;
  readonly "Index Cond"?: string;
  readonly Filter?: string;
  readonly "Sort Key"?: readonly string[];
  readonly "Sort Space Type"?: string;
  readonly "Shared Hit Blocks"?: number;
  readonly "Shared Read Blocks"?: number;
  readonly "Temp Written Blocks"?: number;
  readonly Plans?: readonly PlanNode[];
}

export interface ExplainedPlan {
  readonly Plan: PlanNode;
  readonly Settings?: Readonly<Record<string, string>>;
  readonly "Planning Time": number;
  readonly "Execution Time": number;
  readonly JIT?: { readonly Timing?: { readonly Total?: number } };
}

/** How one table was read, summed over the loops of its node. */
export interface TableAccess {
  readonly table: string;
  /** Such as `Index Scan`, as Postgres calls it. */
  readonly method: string;
  readonly index: string | undefined;
  /** Whether the rows came in the order of a vector index. */
  readonly byDistance: boolean;
  readonly rows: number;
  /** Rows that were read and removed by the filter; `undefined` when some may be other tenants', who are not counted here. */
  readonly removed: number | undefined;
  /** Whether it was at least a thousand, and nine for each that stayed. */
  readonly mostRemoved: boolean;
  /** Rows for each loop that the planner expected, and that came. */
  readonly expected: number;
  readonly actual: number;
  readonly condition: string | undefined;
  readonly filter: string | undefined;
}

/** All nodes of a plan, the root first. */
export function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}

/**
 * How the plan read tables. A bitmap scan has its index in the node below.
 *
 * @param tenancy whether rows may be those of other tenants.
 */
export function accessesOf(root: PlanNode, tenancy: boolean): TableAccess[] {
  return nodesOf(root).flatMap((node) => {
    if (node["Relation Name"] === undefined || (node["Actual Loops"] ?? 0) === 0) return [];
    const below = nodesOf(node).find((inner) => inner["Index Name"] !== undefined);
    const loops = node["Actual Loops"] ?? 1;
    const actual = node["Actual Rows"] ?? 0;
    const filter = node.Filter;
    const rows = Math.round(actual * loops);
    const removed = Math.round((node["Rows Removed by Filter"] ?? 0) * loops);
    return [
      {
        table: node["Relation Name"],
        method: node["Node Type"],
        index: below?.["Index Name"],
        byDistance: node["Order By"] !== undefined,
        rows,
        removed: tenancy && removed > 0 && readsOthers(node) ? undefined : removed,
        mostRemoved: removed >= MANY_ROWS && removed >= 9 * rows,
        expected: node["Plan Rows"],
        actual,
        condition: below?.["Index Cond"],
        filter,
      },
    ];
  });
}

const MANY_ROWS = 1_000;

/** Whether the rows that a filter removed were those of several tenants. */
function readsOthers({ Filter: filter }: PlanNode): boolean {
  return filter !== undefined && /\b(tenant_id|current_tenant)\b/.test(filter);
}

/** The plan without counts of rows that were not the tenant's. */
export function withoutOthers(plan: ExplainedPlan): ExplainedPlan {
  const strip = (node: PlanNode): PlanNode => {
    const { "Rows Removed by Filter": removed, Plans, ...rest } = node;
    return {
      ...rest,
      ...(removed !== undefined && !readsOthers(node) && { "Rows Removed by Filter": removed }),
      ...(Plans !== undefined && { Plans: Plans.map(strip) }),
    };
  };
  return { ...plan, Plan: strip(plan.Plan) };
}

/** The plan without the vectors and long texts that were searched for: they are the caller's, and in the way. */
export function withoutLongLiterals<T>(plan: T): T {
  return JSON.parse(
    JSON.stringify(plan, (_, value: unknown) =>
      typeof value === "string" ? value.replaceAll(/'((?:[^']|''){80})(?:[^']|'')*'/g, "'$1…'") : value,
    ),
  ) as T;
}
