import type { Client } from "pg";
import type { DoctorLimits } from "../../../src/ops/doctor/limits.js";
import type { BrokenInstallation } from "./installation.js";

/** SQL of a superuser, one statement a line; or more than SQL. What it returns is called when it has to go. */
export type Planted =
  string | ((installation: BrokenInstallation, client: Client) => Promise<void | (() => Promise<unknown>)>);

/** Something wrong with an installation: how to bring it about, and what the doctor has to say. */
export interface Fault {
  /** The finding that it must give, and the only one but for {@link also}. */
  readonly id: string;
  readonly name: string;
  /** @defaultValue `notes` */
  readonly table?: string;
  readonly plant: Planted;
  readonly limits?: Partial<DoctorLimits>;
  readonly evidence: RegExp;
  readonly cure: RegExp;
  /** Findings that come with it. */
  readonly also?: readonly string[];
  /** `fix`: the doctor does it. `cure`: what the finding says does it, run as it is. Else SQL. */
  readonly heal: "fix" | "cure" | { readonly sql: string };
  /** The healthy look-alike, which must give no finding: all of them together, before any fault. */
  readonly healthy: Planted;
  /** The look-alike is looked at by itself, since another one is in its way; and like this, else like the fault. */
  readonly apart?: Partial<Pick<Fault, "limits" | "options">>;
  /** SQL that removes what the look-alike, or the cure, has left. */
  readonly tidy?: string;
  /** @defaultValue the owner of the tables, with pg_monitor */
  readonly as?: "superuser";
  /** Connection options of the one that looks. */
  readonly options?: string;
}
