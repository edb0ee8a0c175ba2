/** How a message names a model. */
export interface ModelLabel {
  readonly provider: string;
  readonly model?: string;
  /** Shown in messages, so without credentials. */
  readonly baseUrl?: string;
}

/** Such as `openai text-embedding-3-small at http://127.0.0.1:1234/v1`. */
export function nameModel({ provider, model, baseUrl }: ModelLabel): string {
  return [provider, model, baseUrl === undefined ? undefined : `at ${baseUrl}`].filter(Boolean).join(" ");
}
