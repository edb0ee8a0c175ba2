import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

/** The folder of a real collection to measure with, which are not part of the repository; `undefined` without it. */
export function sharedData(set: string): string | undefined {
  const folder = resolve(process.env["SHARED_DATA"] ?? join(import.meta.dirname, "../../../shared/data"), set);
  return existsSync(folder) ? folder : undefined;
}

/** The name of a suite over such a collection, which says why it is skipped when it is. */
export function sharedDataTitle(name: string, set: string): string {
  return sharedData(set) === undefined ? `${name} (needs ../shared/data/${set}, which is not here, skipped)` : name;
}
