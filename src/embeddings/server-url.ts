import { ConfigurationError } from "../errors.js";

export interface ServerUrl {
  /** The address without credentials and without a slash at the end; safe to show. */
  readonly url: string;
  /** Basic authentication made of the credentials that stood in the address. */
  readonly authorization?: string;
  /** The password, to be kept out of messages. */
  readonly secrets: readonly string[];
}

/**
 * Takes the credentials out of a server's address: `fetch` refuses such an address, and quotes it in its error.
 *
 * @throws ConfigurationError when it is not an http or https URL, or has a query, which clients would put before the path.
 */
export function parseServerUrl(text: string): ServerUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) {
    // Quoted without anything before an @, which may be a password.
    const shown = text.replace(/^.*@/s, "***@");
    throw new ConfigurationError(
      `The base URL "${shown}" is not an http or https URL. Write it like http://127.0.0.1:1234/v1.`,
    );
  }
  if (url.search !== "" || url.hash !== "") {
    throw new ConfigurationError(
      `The base URL ${url.origin}${url.pathname} has a query or a fragment, which cannot be kept. Leave it out.`,
    );
  }
  const user = decodeURIComponent(url.username);
  const password = decodeURIComponent(url.password);
  url.username = "";
  url.password = "";
  const plain = url.href.replace(/\/$/, "");
  if (user === "" && password === "") return { url: plain, secrets: [] };
  const token = Buffer.from(`${user}:${password}`).toString("base64");
  return { url: plain, authorization: `Basic ${token}`, secrets: [password, token].filter((part) => part !== "") };
}
