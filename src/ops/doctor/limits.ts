/** From where on the doctor speaks up. */
export interface DoctorLimits {
  /** Dead rows, at least so many and such a share of all. */
  readonly deadRows: number;
  readonly deadShare: number;
  /** Dead chunks of a lexical index, with the share above. */
  readonly lexicalDead: number;
  /** Rows from which a table without a vector index is slow. */
  readonly rowsWithoutIndex: number;
  /** Scans of a table's other indexes while one has none. */
  readonly unusedAfterScans: number;
  /** Age of an open transaction in seconds, idle or working. */
  readonly transactionSeconds: number;
  readonly preparedSeconds: number;
  /** Share of `autovacuum_freeze_max_age` that the oldest row may reach, above 1 autovacuum is late. */
  readonly freezeShare: number;
  /** Bytes of log that a standby or a slot may be behind. */
  readonly lagBytes: number;
  /** Share of the connections in use. */
  readonly connectionShare: number;
  /** Mean time of a statement of the library, in milliseconds, and how often it has to have run. */
  readonly slowMs: number;
  readonly slowCalls: number;
  /** Updates from which the share of HOT ones says something, and that share. */
  readonly updates: number;
  readonly hotShare: number;
  /** Bytes of a table beyond what its rows need. */
  readonly bloatBytes: number;
}

export const DOCTOR_LIMITS: DoctorLimits = {
  deadRows: 1_000,
  deadShare: 0.2,
  lexicalDead: 16,
  rowsWithoutIndex: 10_000,
  unusedAfterScans: 1_000,
  transactionSeconds: 300,
  preparedSeconds: 300,
  freezeShare: 1.5,
  lagBytes: 1_073_741_824,
  connectionShare: 0.8,
  slowMs: 500,
  slowCalls: 10,
  updates: 1_000,
  hotShare: 0.5,
  bloatBytes: 8_388_608,
};
