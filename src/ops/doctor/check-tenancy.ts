import { pageOf, type DoctorFinding } from "../../store/finding.js";
import type { Finding, FindingCode } from "../tenancy-lint/finding.js";

/** What only closes what was open, or adds what belongs there, and needs no decision. */
const SAFE: ReadonlySet<FindingCode> = new Set<FindingCode>([
  "row-security-off",
  "row-security-not-forced",
  "policy-missing",
  "excessive-grant",
  "registry-writable",
  "promoted-key-without-index",
]);

/** A finding of the tenancy linter as one of the doctor's. */
export function fromLint({ code, severity, object, message, cure }: Finding): DoctorFinding {
  return { id: code, severity, object, evidence: message, cure, fixable: SAFE.has(code), page: pageOf(code) };
}
