// Recent resolutions: who asked for what, which image that came to, and the trail of reasons.

import { listOf, read } from "./api.js";
import { find, make, showRows, write } from "./elements.js";
import { trailOf } from "./images.js";
import { takeResolutions } from "./overview.js";
import { clockOf, platformOf, shortName } from "./words.js";

const SHOWN = 30;
let recent = [];

/** Load what was resolved lately. */
export async function loadResolutions({ isPatient = true } = {}) {
  recent = listOf(await read("/resolutions", { limit: SHOWN }, { isPatient }), "resolutions");
  show();
}

/** Take a resolution that was told just now; answer whether it was told in full. */
export function takeResolution(told) {
  if (!told.reference || !told.trail) return false;
  recent = [told, ...recent].slice(0, SHOWN);
  show();
  return true;
}

function show() {
  find("resolutions-none").hidden = recent.length > 0;
  takeResolutions(recent);
  const numbered = new Map();
  const things = recent.map((one) => {
    // The same may be asked twice at a time: each gets a name of its own, counted from the oldest.
    const name = [one.at, one.reference, one.client_platform, one.evidence].join(" ");
    return { one, name };
  });
  for (const thing of [...things].reverse()) {
    const order = (numbered.get(thing.name) ?? 0) + 1;
    numbered.set(thing.name, order);
    thing.key = `${thing.name} ${order}`;
  }
  showRows(find("resolutions"), things, (thing) => thing.key, makeResolution);
}

function makeResolution() {
  const id = `resolution-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
  const time = make("span", { class: "number quiet" });
  const name = make("span", { class: "name" });
  const asker = make("span", { class: "chip" });
  const cache = make("span", { class: "tag" });
  const source = make("span", { class: "quiet source" });
  const detail = make("div", { class: "detail", id, hidden: true });
  const toggle = () => {
    detail.hidden = !detail.hidden;
    opener.setAttribute("aria-expanded", String(!detail.hidden));
  };
  const opener = make("button", { type: "button", class: "opener resolution-line", "aria-expanded": "false", "aria-controls": id, onclick: toggle }, time, name, asker, cache, source);
  let isShown = false;
  const showOne = ({ one }) => {
    if (isShown) return;
    isShown = true;
    write(time, clockOf(one.at));
    write(name, shortName(one.reference));
    write(asker, one.client_platform ? platformOf(one.client_platform) : "chooses itself");
    write(cache, one.cache ?? "");
    cache.classList.add(one.cache === "hit" ? "good" : "other");
    const image = shortName(one.source ?? "").replace(/@sha256:([0-9a-f]{12})[0-9a-f]*$/, " $1");
    write(source, [image, one.evidence && one.evidence !== "none" ? `known by ${one.evidence}` : "platform not known"].filter(Boolean).join(" · "));
    detail.append(trailOf(one.trail ?? []));
  };
  return { row: make("li", { class: "resolution" }, opener, detail), show: showOne };
}
