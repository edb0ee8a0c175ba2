import { ConfigurationError } from "../errors.js";

/**
 * The question as given, if there is one.
 *
 * @throws {@link ConfigurationError} when it is not a string or holds nothing but white space
 */
export function requireQuestion(input: unknown): string {
  if (typeof input === "string" && input.trim() !== "") return input;
  const got = typeof input === "string" ? JSON.stringify(input) : typeof input;
  throw new ConfigurationError(`The question is ${got}; pass a non-empty string as \`input\`.`);
}
