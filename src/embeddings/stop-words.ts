/**
 * English words that say how a sentence is built, not what it is about. Contractions are listed by their halves,
 * because the apostrophe separates words.
 */
const FUNCTION_WORDS = `
  a an the this that these those some any each every either neither both all no not nor none only own same other another such
  i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers herself
  it its itself they them their theirs themselves one
  who whom whose which what when where why how whether
  am is are was were be been being have has had having do does did doing done can could will would shall should may might
  must ought cannot
  and or but if then else so because as until while although though than since unless
  of at by for with about against between into through during before after above below to from up down in out on off over
  under upon within without toward towards among across per via
  again further once here there now just also too very more most less least few much many even still yet ever never always
  often rather quite almost already however therefore thus hence moreover
  don doesn didn isn aren wasn weren haven hasn hadn won wouldn couldn shouldn s t d ll re ve
`;

const STOP_WORDS: ReadonlySet<string> = new Set(FUNCTION_WORDS.trim().split(/\s+/));

/** Whether a lower-cased word is an English function word. */
export function isStopWord(word: string): boolean {
  return STOP_WORDS.has(word);
}

/** Words of everyday questions and prose that name no subject of their own, as Porter stems. */
const COMMON_STEMS: ReadonlySet<string> = new Set(
  `
  accord actual ad allow answer approxim ask avail base becam becom begin believ better big bring call case caus chang
  come common compar consid contain contribut creat current describ differ discuss everi exampl exist explain fact find
  first follow form found gener get give go good great group happen help high import includ increas involv keep kind know
  known larg last lead like littl long look main make mani mean mention method name need new number occur old part possibl
  prefer problem provid purpos question reason refer relat result right run said
  say second see set show similar singl someth sort specif start state stop take tell term thing think time total true tri
  try turn type us use valu want wai way work year
  `
    .trim()
    .split(/\s+/),
);

/** Whether a stem is so common that a text about anything may hold it. */
export function isCommonStem(stem: string): boolean {
  return COMMON_STEMS.has(stem);
}
