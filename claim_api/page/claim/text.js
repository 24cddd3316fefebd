// Every word of the page comes from one file of its language; here it is found, filled in and made to fit numbers.

// Languages there are files for; a new one is a file beside en.json and its code here.
const LANGUAGES = ["en"];
const DECIMALS = 9;

let texts = {};
let language = "en";
let locale = "en";
let plurals = new Intl.PluralRules("en");
const formats = new Map();

export async function loadTexts() {
  const wanted = navigator.languages.map((tag) => tag.toLowerCase().split("-")[0]);
  language = wanted.find((code) => LANGUAGES.includes(code)) || LANGUAGES[0];
  locale = navigator.languages.find((tag) => tag.toLowerCase().split("-")[0] === language) || language;
  plurals = new Intl.PluralRules(language);
  const answer = await fetch("/claim/" + language + ".json");
  if (!answer.ok) throw new Error("HTTP " + answer.status);
  texts = await answer.json();
  document.documentElement.lang = language;
}

export function has(key) {
  return Object.hasOwn(texts, key);
}

// The text of a key, with {name} replaced. A text with forms (one, other) is chosen by `count`.
export function t(key, values = {}) {
  const found = texts[key];
  const text = typeof found === "object" ? found[plurals.select(Number(values.count))] || found.other : found;
  if (text === undefined) {
    console.error("no text for " + key);
    return key;
  }
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

function format(kind, options) {
  const key = kind.name + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new kind(locale, options));
  return formats.get(key);
}

export function number(value) {
  return format(Intl.NumberFormat, {}).format(value);
}

// Base units as whole tokens, grouped, without trailing zeros: "1284500000000" is 1,284.5.
export function amount(baseUnits) {
  const units = BigInt(baseUnits);
  const scale = 10n ** BigInt(DECIMALS);
  const fraction = (units % scale).toString().padStart(DECIMALS, "0").replace(/0+$/, "");
  const whole = format(Intl.NumberFormat, {}).format(units / scale);
  if (!fraction) return whole;
  const point = format(Intl.NumberFormat, {}).formatToParts(1.5).find((part) => part.type === "decimal").value;
  return whole + point + fraction;
}

export function tokens(baseUnits) {
  return t("tokens", { amount: amount(baseUnits) });
}

export function minutes(ms) {
  return number(Math.floor(ms / 60000));
}

export function percent(share) {
  return format(Intl.NumberFormat, { style: "percent", maximumFractionDigits: 0 }).format(share);
}

// The year only where it is another one than now.
export function day(seconds) {
  const at = new Date(seconds * 1000);
  const year = at.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
  return format(Intl.DateTimeFormat, { weekday: "short", day: "numeric", month: "short", ...year }).format(at);
}

// Weeks begin at midnight UTC, so their days are named in UTC.
export function weekOf(seconds) {
  return format(Intl.DateTimeFormat, { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }).format(seconds * 1000);
}

export function month(seconds) {
  return format(Intl.DateTimeFormat, { month: "short", timeZone: "UTC" }).format(seconds * 1000);
}

export function span(startS, lengthS) {
  return format(Intl.DateTimeFormat, { hour: "2-digit", minute: "2-digit" }).formatRange(startS * 1000, (startS + lengthS) * 1000);
}

export function moment(iso) {
  return format(Intl.DateTimeFormat, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(new Date(iso));
}

export function clock(iso) {
  return format(Intl.DateTimeFormat, { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(new Date(iso));
}

export function shortAddress(address) {
  return address.length > 12 ? address.slice(0, 4) + "…" + address.slice(-4) : address;
}
