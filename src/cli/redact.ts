/** Names under which connection strings carry a secret, as a query parameter or in libpq's `key=value` form. */
const SECRET_KEYS = "password|sslpassword|passfile|api[-_]?key|key|token|secret";

/**
 * A database or server URL fit for people to read: the password is `***`, in the authority as in the query.
 * Works on text that is not a URL too (a password with an unescaped `/` or `@`, libpq's `host=... password=...`):
 * such text is just what an error message is about to quote.
 */
export function redactUrl(url: string): string {
  return url
    .replace(passwordOf(url), "$1$2:***@")
    .replace(new RegExp(`([?&](?:${SECRET_KEYS})=)[^&#]*`, "gi"), "$1***")
    .replace(new RegExp(`(^|\\s)((?:${SECRET_KEYS})\\s*=\\s*)('(?:[^'\\\\]|\\\\.)*'|\\S+)`, "gi"), "$1$2***");
}

/** Scheme, user, and everything that may be the password: the less the text reads as a URL, the more that is. */
function passwordOf(url: string): RegExp {
  if (!URL.canParse(url)) return /^([a-z][\w+.-]*:\/\/|)([^:@/?#]*):(?!\/\/).*@/is;
  if (new URL(url).password !== "") return /^([a-z][\w+.-]*:\/\/)([^:@/?#]*):[^/?#]*@/i;
  // It parses, but so does "ann:12/w@host", as host and port. An @ in a query is left alone: it comes after a "=".
  return /^([a-z][\w+.-]*:\/\/|)([^:@/?#]*):(?!\/\/)(?:[^?]*|[^=]*)@/i;
}
