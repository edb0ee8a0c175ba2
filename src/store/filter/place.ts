import { FilterError } from "../../errors.js";
import { FILTER_LIMITS } from "./grammar.js";

/** What one filter has used of {@link FILTER_LIMITS} so far. */
interface Usage {
  conditions: number;
  values: number;
  characters: number;
}

/** A position inside the filter being parsed: names itself in errors, and keeps count of the limits. */
export class Place {
  private constructor(
    private readonly argument: "filter" | "whereDocument",
    readonly path: string,
    private readonly depth: number,
    private readonly usage: Usage,
  ) {}

  static root(argument: "filter" | "whereDocument"): Place {
    return new Place(argument, "", 0, { conditions: 0, values: 0, characters: 0 });
  }

  key(name: string): Place {
    const plain = /^[$A-Za-z_][$\w]*$/.test(name);
    const step = plain ? (this.path === "" ? name : `.${name}`) : `[${show(name)}]`;
    return new Place(this.argument, this.path + step, this.depth, this.usage);
  }

  index(position: number): Place {
    return new Place(this.argument, `${this.path}[${position}]`, this.depth, this.usage);
  }

  /** @throws FilterError when nested deeper than the limit. */
  nested(): Place {
    if (this.depth >= FILTER_LIMITS.depth) {
      throw this.error(`is nested more than ${FILTER_LIMITS.depth} levels deep`, "flatten it");
    }
    return new Place(this.argument, this.path, this.depth + 1, this.usage);
  }

  /** @throws FilterError when the filter holds more than the limit allows. */
  count(what: keyof Usage, amount: number): void {
    this.usage[what] += amount;
    if (this.usage[what] > FILTER_LIMITS[what]) {
      throw this.error(
        `makes the filter hold more than ${FILTER_LIMITS[what].toLocaleString("en-US")} ${what}`,
        "split the call, or store a key that tells the rows apart and filter on that",
      );
    }
  }

  /** "<argument> at <path> <problem>; <cure>". */
  error(problem: string, cure: string): FilterError {
    // A dotted key nested deep may be long; the full path stays on the error.
    const where = this.path === "" ? this.argument : `${this.argument} at ${abbreviate(this.path, 200)}`;
    return new FilterError(`${where} ${problem}; ${cure}`, this.path);
  }
}

/** A value as an error message shows it: one line, at most about 60 characters. Never throws. */
export function show(value: unknown): string {
  if (typeof value === "bigint") return abbreviate(`${value}n`, 60);
  if (typeof value === "number" || value === undefined) return String(value);
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`;
  if (typeof value === "string") return JSON.stringify(abbreviate(value, 60));
  return abbreviate(showObject(value), 60);
}

function showObject(value: unknown): string {
  // A million values would be serialised only to be cut off.
  if (Array.isArray(value) && value.length > 20) return `an array of ${value.length} values`;
  try {
    return JSON.stringify(value) ?? `a ${typeof value}`;
  } catch {
    return "an object that cannot be shown";
  }
}

function abbreviate(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 3)}...`;
}
