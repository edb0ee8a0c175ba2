import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import { ConfigurationError } from "../errors.js";

const ITERATIONS = 4096;

/**
 * What Postgres stores of a password, made here, so that the password itself never reaches the server, its log or
 * `pg_stat_activity`.
 *
 * @throws ConfigurationError for an empty password and for characters beyond printable ASCII, which clients normalise
 * in different ways.
 * @see https://www.rfc-editor.org/rfc/rfc5803
 */
export function scramVerifier(password: string, salt: Buffer = randomBytes(16)): string {
  if (!/^[\x20-\x7e]+$/.test(password)) {
    throw new ConfigurationError(
      "A password given here must be printable ASCII and not empty. Leave it out and set it with psql's \\password.",
    );
  }
  const salted = pbkdf2Sync(password, salt, ITERATIONS, 32, "sha256");
  const sign = (text: string): Buffer => createHmac("sha256", salted).update(text).digest();
  const storedKey = createHash("sha256").update(sign("Client Key")).digest("base64");
  const serverKey = sign("Server Key").toString("base64");
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString("base64")}$${storedKey}:${serverKey}`;
}
