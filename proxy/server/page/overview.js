// What stands on top: hit ratios, the cache against its bound, upstream's quota; and what is being pulled now.

import { find, make, progressBar, showProgress, showRows, write } from "./elements.js";
import { countOf, momentOf, numberOf, platformOf, repositoryOf, shareOf, shortDigest, shortName, sizeOf, spanOf } from "./words.js";

const RECENT_MS = 15 * 60 * 1000;
const fills = new Map();
let resolutions = [];

/** Show a status. */
export function showStatus(status) {
  write(find("version"), status.version ?? "");
  showAnswers(status.answers ?? {});
  showBytes(status.bytes ?? {});
  showCache(status.cache ?? {});
  showQuotas(status.upstreams ?? []);
  const since = status.uptime_seconds === undefined ? "" : `up for ${spanOf(status.uptime_seconds)}`;
  write(find("place"), [status.cache?.directory, since, status.offline ? "offline: upstream is not asked" : ""].filter(Boolean).join(" · "));
  write(find("upstreams"), (status.upstreams ?? []).map((one) => `· ${one.name}`).join(" "));
  const before = new Map(fills);
  fills.clear();
  for (const fill of status.fills ?? []) {
    const known = before.get(fill.digest);
    fills.set(fill.digest, { ...known, ...fill, ...paceOf(known, fill), seen: performance.now() });
  }
  showFills();
}

function showAnswers(answers) {
  let whole = 0;
  let hits = 0;
  for (const kind of Object.values(answers)) {
    for (const [state, number] of Object.entries(kind)) {
      whole += number;
      // What was asked for again and had not changed, and what was served stale, came out of the cache too.
      if (state !== "miss") hits += number;
    }
  }
  write(find("ratio"), shareOf(hits, whole));
  write(find("ratio-note"), whole ? `${numberOf(hits)} of ${countOf(whole, "request")}` : "no requests yet");
}

function showBytes({ served = 0, fetched = 0 }) {
  write(find("saved"), served ? shareOf(Math.max(0, served - fetched), served) : "–");
  write(find("saved-note"), served ? `${sizeOf(served)} served, ${sizeOf(fetched)} fetched` : "nothing served yet");
}

function showCache(cache) {
  const bar = find("stored-bar");
  const { stored_bytes: stored = 0, max_bytes: bound, free_bytes: free, pinned_bytes: pinned } = cache;
  write(find("stored"), sizeOf(stored));
  bar.hidden = !bound;
  if (bound) {
    showProgress(bar, stored, bound);
    bar.classList.toggle("full", stored / bound > 0.95);
  }
  const notes = [bound ? `${shareOf(stored, bound)} of ${sizeOf(bound)}` : "no bound"];
  if (pinned) notes.push(`${sizeOf(pinned)} pinned`);
  if (free !== undefined && free !== null) notes.push(`${sizeOf(free)} free on disk`);
  write(find("stored-note"), notes.join(" · "));
}

function showQuotas(upstreams) {
  const known = upstreams.filter((one) => one.quota);
  const place = find("quotas");
  if (known.length === 0) {
    place.replaceChildren(make("p", { class: "value" }, "–"), make("p", { class: "quiet" }, "upstream has told of none"));
    return;
  }
  const [first, ...others] = [...known].sort((one, other) => leftOf(one.quota) - leftOf(other.quota));
  const { limit, remaining, window_seconds: window } = first.quota;
  const bar = progressBar(`Quota left at ${first.name}`);
  showProgress(bar, remaining, limit);
  bar.classList.toggle("full", leftOf(first.quota) < 0.1);
  bar.classList.add("left");
  place.replaceChildren(
    make("p", { class: "value" }, numberOf(remaining), make("span", { class: "unit" }, limit ? ` of ${numberOf(limit)}` : "")),
    bar,
    make("p", { class: "quiet" }, `pulls of ${first.name}${window ? ` in ${spanOf(window)}` : ""}`),
    ...others.map((one) => make("p", { class: "quiet" }, `${one.name}: ${numberOf(one.quota.remaining)} of ${numberOf(one.quota.limit)}`)),
  );
}

const leftOf = (quota) => (quota.limit ? quota.remaining / quota.limit : 1);

/** Take what an event tells of a download; answer whether the status has to tell the rest. */
export function takeFill(told) {
  const state = told.state ?? told.event ?? told.phase ?? "progress";
  if (state === "ended" || state === "done" || state === "failed") {
    fills.delete(told.digest);
  } else if (told.written !== undefined) {
    const before = fills.get(told.digest);
    fills.set(told.digest, { ...before, ...told, ...paceOf(before, told), seen: performance.now() });
  }
  showFills();
  return state !== "progress" || told.written === undefined;
}

function paceOf(before, told) {
  const seconds = before ? (performance.now() - before.seen) / 1000 : 0;
  const moved = (told.written ?? 0) - (before?.written ?? 0);
  if (seconds < 0.05 || moved <= 0) return {};
  const pace = moved / seconds;
  return { pace: before.pace ? before.pace * 0.7 + pace * 0.3 : pace };
}

/** Take the recent resolutions, which tell for whom something is pulled. */
export function takeResolutions(recent) {
  resolutions = recent;
  showFills();
}

function askersOf(fill) {
  if (fill.platforms?.length) return fill.platforms;
  const repository = repositoryOf(fill.repository ?? "");
  if (repository === "") return [];
  const found = resolutions.filter(
    (one) =>
      Date.now() - (momentOf(one.at) ?? 0) < RECENT_MS && [one.source, one.reference].some((name) => name && repositoryOf(name) === repository),
  );
  return [...new Set(found.map((one) => one.client_platform).filter(Boolean))];
}

function showFills() {
  const all = [...fills.values()];
  write(find("fills-count"), all.length ? numberOf(all.length) : "");
  find("fills-none").hidden = all.length > 0;
  showRows(find("fills"), all, (fill) => fill.digest, makeFill);
}

function makeFill() {
  const name = make("span", { class: "name" });
  const size = make("span", { class: "number right" });
  const bar = progressBar("Downloaded");
  const note = make("span", { class: "quiet" });
  const row = make("li", { class: "fill" }, name, size, bar, note);
  const show = (fill) => {
    write(name, fill.repository ? shortName(fill.repository) : shortDigest(fill.digest));
    write(size, fill.size ? `${sizeOf(fill.written)} of ${sizeOf(fill.size)}` : sizeOf(fill.written));
    showProgress(bar, fill.written, fill.size ?? 0);
    bar.setAttribute("aria-label", `Downloaded of ${shortName(fill.repository ?? "")} ${shortDigest(fill.digest)}`);
    const askers = askersOf(fill).map(platformOf);
    const notes = [askers.length ? `for ${askers.join(", ")}` : "", countOf(fill.readers ?? 0, "client"), fill.pace ? `${sizeOf(fill.pace)}/s` : "", fill.repository ? shortDigest(fill.digest) : ""];
    write(note, notes.filter(Boolean).join(" · "));
  };
  return { row, show };
}
