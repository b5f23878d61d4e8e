// Numbers, times and names as people read them.

const GAP = "\u00a0"; // between a number and its unit no line ends
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Write a number of bytes: `1.4 GiB`. */
export function sizeOf(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  let value = bytes;
  let unit = 0;
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits)}${GAP}${UNITS[unit]}`;
}

/** Write a number with its thousands apart. */
export function numberOf(value) {
  return new Intl.NumberFormat("en").format(value);
}

/** Write `1 image`, `2 images`. */
export function countOf(value, one, many = `${one}s`) {
  return `${numberOf(value)} ${value === 1 ? one : many}`;
}

/** Write a share as a percentage; never 100 % unless it is all. */
export function shareOf(part, whole) {
  if (!whole) return "–";
  const share = (100 * part) / whole;
  if (share >= 99.95 && part < whole) return `99.9${GAP}%`;
  return share === 100 || share === 0 ? `${share}${GAP}%` : `${share.toFixed(1)}${GAP}%`;
}

/** Read a moment, which is seconds since 1970 or RFC 3339; answer milliseconds, or null. */
export function momentOf(told) {
  if (told === null || told === undefined) return null;
  const moment = typeof told === "number" ? told * 1000 : Date.parse(told);
  return Number.isNaN(moment) ? null : moment;
}

/** Write how long something takes or took: `4 min`. */
export function spanOf(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))}${GAP}s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)}${GAP}min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)}${GAP}h`;
  return `${Math.round(seconds / 86400)}${GAP}d`;
}

/** Write how long ago a moment was. */
export function ageOf(told, now = Date.now()) {
  const moment = momentOf(told);
  if (moment === null) return "never";
  const seconds = (now - moment) / 1000;
  return seconds < 5 ? "just now" : `${spanOf(seconds)} ago`;
}

/** Write a moment of today by its time, any other by its date too. */
export function clockOf(told) {
  const moment = momentOf(told);
  if (moment === null) return "–";
  const when = new Date(moment);
  const time = when.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  return when.toDateString() === new Date().toDateString() ? time : `${when.toLocaleDateString("en-CA")} ${time}`;
}

/** Write a reference as its users would: without Docker Hub's own name. */
export function shortName(reference) {
  return String(reference).replace(/^docker\.io\//, "").replace(/^library\//, "");
}

/** Answer the repository of a reference in its short form: `arm32v7/debian`. */
export function repositoryOf(reference) {
  const name = shortName(reference).replace(/@.*$/, "");
  const colon = name.lastIndexOf(":");
  return colon > name.lastIndexOf("/") ? name.slice(0, colon) : name;
}

/** Write a platform without what goes without saying. */
export function platformOf(told) {
  return told ? String(told).replace(/^linux\//, "") : "unknown";
}

/** Write the beginning of a digest. */
export function shortDigest(digest) {
  return String(digest ?? "").replace(/^sha256:/, "").slice(0, 12);
}
