import { ConfigurationError } from "../../errors.js";
import { LEXICAL_DEFAULTS, type LexicalSettings } from "../../schema/lexical.js";
import { configurationOf } from "../../schema/lexical-languages.js";

/** Options of a store's lexical index, fixed when it is made. */
export interface LexicalOptions {
  /**
   * Language of the texts: a text search configuration of Postgres, or an ISO 639-1 code.
   * @defaultValue `"english"`
   */
  language?: string;
  /** Metadata key under which a document names its own language, by configuration name or code. */
  languageKey?: string;
  /** Makes `Café` and `Cafe` one word. @defaultValue false */
  unaccent?: boolean;
  /** How soon a term that occurs again stops counting more, 0 to 10. @defaultValue 1.2 */
  k1?: number;
  /** How much long texts are marked down, 0 to 1. @defaultValue 0.6 */
  b?: number;
}

/** @throws ConfigurationError naming the option. The server says later whether it has the language. */
export function checkLexical(options: LexicalOptions): LexicalSettings {
  if (typeof options !== "object" || options === null) {
    throw new ConfigurationError(`lexical must be true, false or an object, got ${JSON.stringify(options)}.`);
  }
  const { languageKey, unaccent, ...rest } = options;
  if (
    languageKey !== undefined &&
    (typeof languageKey !== "string" || languageKey === "" || /[\0{}]/.test(languageKey))
  ) {
    throw new ConfigurationError(`lexical.languageKey must be a metadata key, got ${JSON.stringify(languageKey)}.`);
  }
  if (unaccent !== undefined && typeof unaccent !== "boolean") {
    throw new ConfigurationError(`lexical.unaccent must be true or false, got ${JSON.stringify(unaccent)}.`);
  }
  return {
    language: checkLanguage(rest.language) ?? LEXICAL_DEFAULTS.language,
    languageKey,
    unaccent: unaccent ?? LEXICAL_DEFAULTS.unaccent,
    k1: checkNumber("lexical.k1", rest.k1, 10) ?? LEXICAL_DEFAULTS.k1,
    b: checkNumber("lexical.b", rest.b, 1) ?? LEXICAL_DEFAULTS.b,
  };
}

/** @throws ConfigurationError unless it can name a text search configuration. */
export function checkLanguage(language: string | undefined): string | undefined {
  if (language === undefined) return undefined;
  if (typeof language === "string" && /^\w{1,63}(\.\w{1,63})?$/.test(language)) return configurationOf(language);
  throw new ConfigurationError(
    `language must be a text search configuration such as "english", or a code such as "en", got ${JSON.stringify(language)}.`,
  );
}

function checkNumber(name: string, value: number | undefined, max: number): number | undefined {
  if (value === undefined || (typeof value === "number" && value >= 0 && value <= max)) return value;
  throw new ConfigurationError(`${name} must be a number from 0 to ${max}, got ${String(value)}.`);
}
