import { createHash } from "node:crypto";

/** What tells one model's vectors from another's. */
export interface ModelIdentity {
  readonly provider: string | undefined;
  readonly model: string | undefined;
  readonly revision?: string | undefined;
  readonly dimensions: number;
  readonly documentPrefix?: string;
  readonly queryPrefix?: string;
  readonly probe?: Uint8Array | undefined;
}

/**
 * A name for a model version, such as `openai/text-embedding-3-small@1536`, with a hash of whatever the name leaves out:
 * prefixes, and of a model without a name the vector that it gave for the probe text.
 */
export function fingerprintOf(identity: ModelIdentity): string {
  const { provider = "custom", model, revision, dimensions, documentPrefix = "", queryPrefix = "", probe } = identity;
  const rest: string[] = [];
  if (documentPrefix !== "" || queryPrefix !== "") rest.push(documentPrefix, queryPrefix);
  if (model === undefined && probe !== undefined) rest.push(Buffer.from(probe).toString("hex"));
  const hash =
    rest.length === 0 ? "" : `#${createHash("sha256").update(JSON.stringify(rest)).digest("hex").slice(0, 8)}`;
  return `${provider}/${model ?? "unnamed"}@${dimensions}${revision === undefined ? "" : `~${revision}`}${hash}`;
}
