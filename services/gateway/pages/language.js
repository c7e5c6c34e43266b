// One language: its words, plurals, dates and money. Each reader has one; two widgets on a page may speak different ones.

import { inBrowser } from "./web_storage.js";

/** Each by its own name, in the order in which they are offered: the languages that the mails speak too. */
export const LANGUAGES = { en: "English", de: "Deutsch", es: "Español", fr: "Français", it: "Italiano", nl: "Nederlands" };
const CHOSEN = "parley:language";
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;
const RIGHT_TO_LEFT_SCRIPTS = ["Adlm", "Arab", "Hebr", "Mand", "Nkoo", "Rohg", "Samr", "Syrc", "Thaa"];
const DIRECTION_MARKS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** The language that was chosen or that the browser prefers; English where we speak none of them. */
export function preferred(wanted = inBrowser.getItem(CHOSEN)) {
  const asked = [wanted, ...ofBrowser()].filter(Boolean);
  return asked.map(primary).find((tag) => Object.hasOwn(LANGUAGES, tag)) ?? "en";
}

export function remember(tag) {
  inBrowser.setItem(CHOSEN, tag);
}

/**
 * The browser's languages. Not all of them say BCP 47 tags: some pass on what the system calls its locale (`en-US@posix`, `en_GB.UTF-8`,
 * `C`), or say nothing.
 */
function ofBrowser() {
  const said = navigator.languages?.length ? navigator.languages : [navigator.language];
  return said.filter(Boolean).map((each) => String(each).split(/[.@]/)[0].replaceAll("_", "-"));
}

function primary(tag) {
  return tag.toLowerCase().split(/[-_.@]/)[0];
}

/** Loads a language's words, for a reader who asks for `wanted` first, or else for what the browser says. */
export async function load(tag, wanted = inBrowser.getItem(CHOSEN)) {
  const { default: words } = await import(`./words/${tag in LANGUAGES ? tag : "en"}.js`);
  return new Language(tag, words, [wanted, ...ofBrowser()].find((each) => each && isTag(each)) ?? tag);
}

/** How a language calls itself; the tag where the browser does not know it. */
export function nameOf(tag) {
  if (Object.hasOwn(LANGUAGES, tag)) return LANGUAGES[tag];
  try {
    return new Intl.DisplayNames([tag], { type: "language", fallback: "code" }).of(tag);
  } catch {
    return tag;
  }
}

/** The direction that the reader's language is written in, whatever language our words are in. */
function directionOf(tag) {
  try {
    const locale = new Intl.Locale(tag).maximize();
    const known = (locale.getTextInfo?.() ?? locale.textInfo)?.direction;
    return known ?? (RIGHT_TO_LEFT_SCRIPTS.includes(locale.script) ? "rtl" : "ltr");
  } catch {
    return "ltr";
  }
}

/** A text by people within a sentence of ours: it cannot turn the sentence around. */
function isolated(text) {
  const plain = text.replace(DIRECTION_MARKS, "");
  return RIGHT_TO_LEFT.test(plain) ? `\u2068${plain}\u2069` : plain;
}

/**
 * The regional variant the browser is set to, so that an English speaker in London sees pounds and days as they do there. A reader whose
 * language we have no words in gets our words with the habits of their region: days and months are words, and stand in the same language.
 */
function regional(tag, asked) {
  const own = ofBrowser().find((each) => primary(each) === tag && isTag(each));
  if (own !== undefined || primary(asked) === tag || Object.hasOwn(LANGUAGES, primary(asked))) return own ?? tag;
  try {
    const { region } = new Intl.Locale(asked).maximize();
    return region ? `${tag}-${region}` : tag;
  } catch {
    return tag;
  }
}

function isTag(each) {
  try {
    return Intl.getCanonicalLocales(each).length === 1;
  } catch {
    return false;
  }
}

/** The first of these locales' formats that the browser can make: one may know the language and not its region. */
function made(kind, locales, options) {
  for (const locale of locales.slice(0, -1)) {
    try {
      return new kind(locale, options);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
  return new kind(locales.at(-1), options);
}

export class Language {
  #locale;
  #formats = new Map();

  /** `asked` is the language that its reader would like best; we may have no words in it. */
  constructor(tag, words, asked = tag) {
    this.tag = tag;
    this.words = words;
    this.dir = directionOf(asked);
    this.#locale = regional(tag, asked);
  }

  /** Says the language of the words, and the direction of the reader's. */
  dress(element) {
    element.lang = this.tag;
    element.dir = this.dir;
  }

  /** Formats are slow to make: each is made when it is first needed. */
  #format(kind, options = {}) {
    const name = kind.name + JSON.stringify(options);
    if (!this.#formats.has(name)) this.#formats.set(name, made(kind, [this.#locale, this.tag, "en"], options));
    return this.#formats.get(name);
  }

  /** Makes the formats that a conversation needs, in a moment when there is nothing else to do. */
  prepare() {
    const now = new Date();
    return [this.time(now), this.day(now), this.date(now), this.moment(now), this.number(0)];
  }

  #date(moment, options) {
    return this.#format(Intl.DateTimeFormat, options).format(new Date(moment));
  }

  /** The words under this key with their places filled in; where they depend on a number, it is `n`. */
  t(key, values = {}) {
    const entry = this.words[key];
    if (entry === undefined) throw new Error(`there are no words for ${key}`);
    const text = typeof entry === "string" ? entry : (entry[this.#plural(values.n)] ?? entry.other);
    return text.replace(/\{(\w+)\}/g, (_, name) => this.#shown(values[name]));
  }

  #plural(n) {
    if (!Intl.PluralRules) return n === 1 ? "one" : "other";
    return this.#format(Intl.PluralRules).select(n);
  }

  #shown(value) {
    return typeof value === "number" ? this.number(value) : isolated(String(value ?? ""));
  }

  /** The words for a value of the shop's, or the value itself where it is one that we do not know. */
  known(group, value) {
    return this.words[`${group}.${value}`] ?? value;
  }

  number(value) {
    return this.#format(Intl.NumberFormat).format(value);
  }

  /** With every digit that the shop has said, as in the mails: a price may be a part of a cent. */
  money(amount, currency) {
    let usual;
    try {
      usual = this.#format(Intl.NumberFormat, { style: "currency", currency });
    } catch {
      return `${amount} ${currency}`;
    }
    const said = String(amount).split(".")[1]?.replace(/0+$/, "").length ?? 0;
    if (said <= usual.resolvedOptions().maximumFractionDigits) return usual.format(amount);
    return this.#format(Intl.NumberFormat, { style: "currency", currency, maximumFractionDigits: said }).format(amount);
  }

  time(moment) {
    return this.#date(moment, { timeStyle: "short" });
  }

  moment(moment) {
    return this.#date(moment, { dateStyle: "medium", timeStyle: "short" });
  }

  date(moment) {
    return this.#date(moment, { day: "numeric", month: "long", year: "numeric" });
  }

  /** "Today", "Yesterday", a weekday and date within the year, else the full date. */
  day(moment) {
    const date = new Date(moment);
    const ago = Math.round((midnight(new Date()) - midnight(date)) / DAY_MS);
    if ((ago === 0 || ago === 1) && Intl.RelativeTimeFormat) return capital(this.#format(Intl.RelativeTimeFormat, { numeric: "auto" }).format(-ago, "day"));
    return isThisYear(date) ? this.#date(date, { weekday: "long", day: "numeric", month: "long" }) : this.date(date);
  }

  /** How long ago, in one unit and as the language writes it: "5 min", "2 hr", "3 days". */
  duration(since) {
    const minutes = Math.max(1, Math.floor((Date.now() - new Date(since)) / MINUTE_MS));
    const [count, unit] =
      minutes < 60 ? [minutes, "minute"] : minutes < 1_440 ? [Math.floor(minutes / 60), "hour"] : [Math.floor(minutes / 1_440), "day"];
    return this.#format(Intl.NumberFormat, { style: "unit", unit, unitDisplay: "short" }).format(count);
  }

  /** As short as a list wants it: the time today, else the day. */
  brief(moment) {
    const date = new Date(moment);
    if (midnight(date) === midnight(new Date())) return this.time(date);
    return this.#date(date, { day: "numeric", month: "short", year: isThisYear(date) ? undefined : "numeric" });
  }
}

/** The local day as a number; also the key by which entries are put into days. */
export function midnight(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

function isThisYear(date) {
  return date.getFullYear() === new Date().getFullYear();
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
