import { inspect } from "node:util";

/** The error that a promise is rejected with; fails the test when it is not, or with something else. */
export async function errorOf(promise: Promise<unknown>): Promise<Error> {
  const outcome: unknown = await promise.then(
    (value) => `resolved to ${inspect(value).slice(0, 200)}`,
    (error: unknown) => error,
  );
  if (outcome instanceof Error) return outcome;
  throw new Error(`Expected a rejection with an Error, but it ${String(outcome)}`);
}
