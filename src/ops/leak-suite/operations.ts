import type { LeakOperation } from "./operation.js";
import { FAULT_OPERATIONS } from "./operations/faults.js";
import { FILTER_OPERATIONS } from "./operations/filters.js";
import { LIFE_CYCLE_OPERATIONS } from "./operations/life-cycle.js";
import { MODEL_OPERATIONS } from "./operations/models.js";
import { NO_TENANT_OPERATIONS } from "./operations/no-tenant.js";
import { OPENING_OPERATIONS } from "./operations/opening.js";
import { RAW_ORACLE_OPERATIONS } from "./operations/raw-oracles.js";
import { RAW_READ_OPERATIONS } from "./operations/raw-reads.js";
import { RAW_RIGHTS_OPERATIONS } from "./operations/raw-rights.js";
import { RAW_WRITE_OPERATIONS } from "./operations/raw-writes.js";
import { READ_OPERATIONS } from "./operations/reads.js";
import { SESSION_OPERATIONS } from "./operations/session.js";
import { SOURCE_OPERATIONS } from "./operations/sources.js";
import { WRITE_OPERATIONS } from "./operations/writes.js";

/** All that the leak suite does. A new public method of the store gets an operation here, in the same change. */
export const LEAK_OPERATIONS: readonly LeakOperation[] = [
  ...READ_OPERATIONS,
  ...WRITE_OPERATIONS,
  ...SOURCE_OPERATIONS,
  ...FILTER_OPERATIONS,
  ...NO_TENANT_OPERATIONS,
  ...LIFE_CYCLE_OPERATIONS,
  ...MODEL_OPERATIONS,
  ...OPENING_OPERATIONS,
  ...RAW_READ_OPERATIONS,
  ...RAW_WRITE_OPERATIONS,
  ...RAW_ORACLE_OPERATIONS,
  ...RAW_RIGHTS_OPERATIONS,
  ...SESSION_OPERATIONS,
  ...FAULT_OPERATIONS,
];
