import type { Step } from "./step.js";

/** One kind of thing that a tenant, or somebody with its connection, can do. */
export interface LeakOperation {
  /** Unique; the key in `byKind`. */
  readonly name: string;
  /** How often it is chosen, relative to the others. @defaultValue 1 */
  readonly weight?: number;
  /** Only on a server: the embedded database has one backend, which such an operation would end. */
  readonly server?: true;
  /** Only where the role of the calls does not own the tables, whose owner may do this. */
  readonly stranger?: true;
  /** Only where the connection's own role may not administer the tenants. */
  readonly application?: true;
  run(step: Step): Promise<unknown>;
}
