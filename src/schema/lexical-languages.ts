/** Text search configurations of Postgres by the ISO 639-1 codes that documents carry. */
export const LANGUAGE_CODES: Readonly<Record<string, string>> = {
  ar: "arabic",
  ca: "catalan",
  da: "danish",
  de: "german",
  el: "greek",
  en: "english",
  es: "spanish",
  eu: "basque",
  fi: "finnish",
  fr: "french",
  ga: "irish",
  hu: "hungarian",
  id: "indonesian",
  it: "italian",
  lt: "lithuanian",
  ne: "nepali",
  nl: "dutch",
  no: "norwegian",
  pt: "portuguese",
  ro: "romanian",
  ru: "russian",
  sv: "swedish",
  ta: "tamil",
  tr: "turkish",
};

/** The configuration that a language's name, code or qualified name stands for, as it is written in SQL without quotes. */
export function configurationOf(language: string): string {
  return LANGUAGE_CODES[language] ?? language;
}
