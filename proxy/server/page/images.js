// The images: found by a search, each with its platforms and where they come from; pinned and purged from here.

import { change, listOf, read } from "./api.js";
import { find, make, showRows, write } from "./elements.js";
import { attempt, confirmed, say } from "./telling.js";
import { ageOf, countOf, platformOf, shortDigest, shortName, sizeOf } from "./words.js";

const PAGE = 50;
const MOST = 999; // the API answers a thousand at most
let pattern = "";
let images = [];
let hasMore = false;
let wanted = PAGE;
let asked = 0;

/** Prepare the search and its buttons. */
export function prepareImages() {
  let timer = 0;
  const search = () => {
    pattern = patternOf(find("search").value);
    wanted = PAGE;
    return attempt("search", () => loadImages());
  };
  find("search").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, 200);
  });
  find("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    search();
  });
  find("more").addEventListener("click", () => {
    wanted = Math.min(wanted + PAGE, MOST);
    attempt("more images", () => loadImages());
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, textarea, dialog")) return;
    event.preventDefault();
    find("search").focus();
  });
}

/** What somebody types stands anywhere in a name, unless it says itself where. */
function patternOf(text) {
  const typed = text.trim();
  return typed === "" || /[*?[]/.test(typed) ? typed : `*${typed}*`;
}

/** Load the images that are shown, as many as are shown. */
export async function loadImages({ isPatient = true } = {}) {
  const mine = ++asked;
  // One more than is shown tells whether there are more.
  const found = listOf(await read("/images", { pattern, limit: wanted + 1 }, { isPatient }), "images");
  if (mine !== asked) return; // a newer search is under way
  hasMore = found.length > wanted;
  images = found.slice(0, wanted);
  show();
}

function show() {
  write(find("images-count"), images.length ? `${images.length}${hasMore ? "+" : ""}` : "");
  const none = find("images-none");
  none.hidden = images.length > 0;
  write(none, pattern ? `No image fits “${find("search").value.trim()}”.` : "Nothing is cached yet: pull something through the proxy, or warm it below.");
  find("more").hidden = !hasMore || wanted >= MOST;
  showRows(find("image-rows"), images, (image) => image.reference, makeImage);
}

function makeImage(reference) {
  const name = shortName(reference);
  const id = `image-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
  const detail = make("div", { class: "detail", id, hidden: true });
  const platforms = make("span", { class: "chips" });
  const size = make("span", { class: "number right cell-size" });
  const used = make("span", { class: "number right quiet cell-used" });
  const state = make("span", { class: "tags" });
  let image = null;
  let isOpen = false;
  const toggle = () => {
    isOpen = !isOpen;
    opener.setAttribute("aria-expanded", String(isOpen));
    detail.hidden = !isOpen;
    if (isOpen) attempt(name, () => showDetail(detail, reference, image));
  };
  const opener = make("button", { type: "button", class: "opener name", "aria-expanded": "false", "aria-controls": id, onclick: toggle }, name);
  const pin = make("button", { type: "button", class: "plain", onclick: () => attempt(name, () => changePin(image)) });
  const purge = make("button", { type: "button", class: "plain", "aria-label": `Purge ${name}`, onclick: () => attempt(name, () => purgeImage(image)) }, "Purge");
  const row = make(
    "li",
    { class: "image" },
    make("div", { class: "image-line" }, opener, platforms, size, used, state, make("span", { class: "actions" }, pin, purge)),
    detail,
  );
  const showImage = (shown) => {
    const isChanged = image !== null && JSON.stringify(shown) !== JSON.stringify(image);
    image = shown;
    platforms.replaceChildren(...chipsOf(shown));
    write(size, sizeOf(shown.size));
    write(used, ageOf(shown.used_at));
    state.replaceChildren(...tagsOf(shown));
    write(pin, shown.pinned ? "Unpin" : "Pin");
    pin.setAttribute("aria-label", `${shown.pinned ? "Unpin" : "Pin"} ${name}`);
    if (isOpen && isChanged) attempt(name, () => showDetail(detail, reference, image));
  };
  return { row, show: showImage };
}

function chipsOf(image) {
  const whole = (image.platforms ?? []).map((one) => make("span", { class: "chip" }, platformOf(one)));
  const missing = (image.missing_platforms ?? []).map((one) =>
    make("span", { class: "chip missing", title: "known, and fetched when somebody asks for it" }, platformOf(one), make("span", { class: "hidden" }, " (not fetched)")),
  );
  return [...whole, ...missing];
}

function tagsOf(image) {
  const freshness = image.fresh
    ? make("span", { class: "tag good" }, "fresh")
    : make("span", { class: "tag", title: "upstream is asked again at the next pull" }, "expired");
  return image.pinned ? [make("span", { class: "tag pinned" }, "pinned"), freshness] : [freshness];
}

async function showDetail(place, reference, image) {
  if (place.childElementCount === 0) place.replaceChildren(make("p", { class: "quiet" }, "loading…"));
  const told = await read("/image", { reference });
  const digest = told.answer ?? told.digest ?? image.digest;
  place.replaceChildren(
    make("p", { class: "quiet" }, make("code", {}, digest), ` · checked ${ageOf(told.checked_at ?? image.checked_at)}`),
    make("ul", { class: "entries" }, ...(told.builds ?? []).map(entryOf)),
    trailOf(told.trail ?? []),
  );
}

function entryOf(entry) {
  return make(
    "li",
    { class: "entry" },
    make("span", { class: entry.whole ? "chip" : "chip missing" }, platformOf(entry.platform)),
    make("span", { class: `origin ${entry.source}` }, originOf(entry)),
    make("span", { class: "number right" }, sizeOf(entry.size)),
    make("span", { class: "quiet" }, entry.whole ? "cached" : "not fetched"),
    make("code", { class: "quiet" }, shortDigest(entry.digest)),
  );
}

function originOf(entry) {
  const from = entry.origin ? ` from ${shortName(entry.origin)}` : "";
  const shared = entry.shared_with?.length ? `, shared with ${entry.shared_with.map(platformOf).join(", ")}` : "";
  const word = { upstream: "upstream's own", added: `added${from}`, alias: `another platform's image${from}` }[entry.source] ?? `${entry.source}${from}`;
  return word + shared;
}

/** Show a trail: the reasons, in order. */
export function trailOf(lines) {
  return lines.length ? make("ol", { class: "trail" }, ...lines.map((line) => make("li", {}, line))) : make("p", { class: "quiet" }, "no trail is kept of it");
}

async function changePin(image) {
  const name = shortName(image.reference);
  if (image.pinned) await change("DELETE", "/pins", { query: { reference: image.reference } });
  else await change("POST", "/pins", { body: { reference: image.reference } });
  say(image.pinned ? `${name} is no longer pinned.` : `${name} is pinned: it stays in the cache.`);
  await loadImages();
}

async function purgeImage(image) {
  const name = shortName(image.reference);
  const text = `It leaves the cache (${sizeOf(image.size)}, ${countOf(image.platforms?.length ?? 0, "platform")}), and is fetched again when somebody pulls it.`;
  if (!(await confirmed(`Purge ${name}?`, text, "Purge"))) return;
  await change("POST", "/purge", { body: { reference: image.reference } });
  say(`${name} is purged.`);
  await loadImages();
  find("images").focus();
}
