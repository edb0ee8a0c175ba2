import type { Finding } from "./finding.js";
import type { LintTarget } from "./target.js";

/** Tables and partitions on which row-level security does not work, or not for their owner. No I/O. */
export function checkRowSecurity({ relations }: LintTarget): Finding[] {
  return relations.flatMap(({ name, partition, enabled, forced }): Finding[] => {
    const kind = partition ? "The partition" : "The table";
    const reason = partition ? " A statement that names the partition passes by the policies of its table." : "";
    if (!enabled) {
      return [
        {
          code: "row-security-off",
          severity: "error",
          object: name,
          message: `${kind} ${name} has no row-level security, so every statement sees all tenants.${reason}`,
          cure: `alter table ${name} enable row level security, force row level security;`,
        },
      ];
    }
    if (forced) return [];
    return [
      {
        code: "row-security-not-forced",
        severity: "error",
        object: name,
        message: `${kind} ${name} does not force row-level security, so its owner sees all tenants.`,
        cure: `alter table ${name} force row level security;`,
      },
    ];
  });
}
