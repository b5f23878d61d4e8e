// The hit ratio over time, in requests and in bytes, above how much was asked: drawn by hand, read with a key too.

import { draw, find, make, write } from "./elements.js";
import { clockOf, countOf, momentOf, shareOf, sizeOf } from "./words.js";

const SPANS = [
  ["1 h", 3600],
  ["6 h", 21600],
  ["24 h", 86400],
];
const SLOTS = 60;
const HEIGHT = 190;
const EDGE = { left: 36, right: 6, top: 8, bottom: 20 };
const TRAFFIC = 34; // the height of the bars that show how much was asked
let points = [];
let span = 3600;
let chosen = -1;

/** Prepare the chart. */
export function prepareChart() {
  find("spans").append(
    ...SPANS.map(([text, seconds]) =>
      make("button", { type: "button", "aria-pressed": String(seconds === span), onclick: (event) => choose(event.target, seconds) }, text),
    ),
  );
  new ResizeObserver(() => redraw()).observe(find("chart"));
}

/** Show a history. */
export function showHistory(history) {
  points = history.points ?? [];
  redraw();
}

function choose(button, seconds) {
  span = seconds;
  chosen = -1;
  for (const other of find("spans").children) other.setAttribute("aria-pressed", String(other === button));
  redraw();
}

function slotsOf(now) {
  const width = (span * 1000) / SLOTS;
  const start = Math.floor(now / width) * width - (SLOTS - 1) * width;
  const slots = Array.from({ length: SLOTS }, (_, at) => ({ at: start + at * width, requests: 0, hits: 0, served: 0, fetched: 0 }));
  for (const point of points) {
    const slot = slots[Math.floor(((momentOf(point.at) ?? 0) - start) / width)];
    if (slot === undefined) continue;
    slot.requests += point.requests;
    slot.hits += point.hits;
    slot.served += point.bytes_served;
    slot.fetched += point.bytes_fetched;
  }
  return slots;
}

const byRequests = (slot) => (slot.requests ? slot.hits / slot.requests : null);
const byBytes = (slot) => (slot.served ? Math.max(0, 1 - slot.fetched / slot.served) : null);

function redraw() {
  const place = find("chart");
  const width = Math.max(240, place.clientWidth);
  const slots = slotsOf(Date.now());
  const isEmpty = slots.every((slot) => slot.requests === 0 && slot.served === 0);
  const frame = {
    x: (at) => EDGE.left + ((width - EDGE.left - EDGE.right) * (at + 0.5)) / SLOTS,
    y: (share) => EDGE.top + (HEIGHT - EDGE.top - EDGE.bottom - TRAFFIC) * (1 - share),
    floor: HEIGHT - EDGE.bottom,
    step: (width - EDGE.left - EDGE.right) / SLOTS,
    width,
  };
  const had = document.activeElement?.parentElement === place;
  const drawing = draw(
    "svg",
    { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", tabindex: 0, "aria-label": summary(slots), "aria-describedby": "chart-reading" },
    ...axes(frame, slots),
    ...bars(frame, slots),
    line(frame, slots, byBytes, "line bytes"),
    line(frame, slots, byRequests, "line requests"),
    draw("line", { class: "cursor", y1: EDGE.top, y2: frame.floor, visibility: "hidden" }),
  );
  const reading = make("p", { id: "chart-reading", class: "reading number" });
  place.replaceChildren(legend(), drawing, reading);
  const point = (at) => pointAt(drawing, reading, frame, slots, at, isEmpty);
  point(chosen);
  drawing.addEventListener("pointermove", (event) => {
    const left = event.clientX - drawing.getBoundingClientRect().left - EDGE.left;
    point(Math.max(0, Math.min(SLOTS - 1, Math.floor(left / frame.step))));
  });
  drawing.addEventListener("pointerleave", () => point(-1));
  drawing.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -SLOTS, End: SLOTS, Escape: NaN }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    point(Number.isNaN(move) ? -1 : Math.max(0, Math.min(SLOTS - 1, (chosen < 0 ? SLOTS : chosen) + move)));
  });
  if (had) drawing.focus();
}

function pointAt(drawing, reading, frame, slots, at, isEmpty) {
  chosen = at;
  const cursor = drawing.querySelector(".cursor");
  cursor.setAttribute("visibility", at < 0 ? "hidden" : "visible");
  if (at < 0) {
    write(reading, isEmpty ? "Nothing was asked in this time." : summary(slots));
    return;
  }
  cursor.setAttribute("x1", frame.x(at));
  cursor.setAttribute("x2", frame.x(at));
  const slot = slots[at];
  write(reading, slot.requests || slot.served ? `${clockOf(slot.at / 1000)} · ${told(slot)}` : `${clockOf(slot.at / 1000)} · nothing asked`);
}

function told(slot) {
  const requests = `${shareOf(slot.hits, slot.requests)} of ${countOf(slot.requests, "request")}`;
  return `${requests} · ${sizeOf(slot.served)} served, ${sizeOf(slot.fetched)} fetched`;
}

function summary(slots) {
  const sum = { requests: 0, hits: 0, served: 0, fetched: 0 };
  for (const slot of slots) for (const name of Object.keys(sum)) sum[name] += slot[name];
  return `Last ${SPANS.find(([, seconds]) => seconds === span)?.[0]}: ${told(sum)}`;
}

function legend() {
  const one = (name, text) => make("span", { class: `key ${name}` }, text);
  return make("p", { class: "legend" }, one("requests", "of requests"), one("bytes", "of bytes"), one("traffic", "requests asked"));
}

function axes(frame, slots) {
  const levels = [0, 0.5, 1].flatMap((share) => [
    draw("line", { class: "grid", x1: EDGE.left, x2: frame.width - EDGE.right, y1: frame.y(share), y2: frame.y(share) }),
    draw("text", { class: "tick", x: EDGE.left - 6, y: frame.y(share) + 4, "text-anchor": "end" }, `${share * 100}%`),
  ]);
  const count = frame.width < 420 ? 3 : 5;
  const times = Array.from({ length: count }, (_, at) => Math.round(((SLOTS - 1) * at) / (count - 1)));
  const ends = { 0: "start", [SLOTS - 1]: "end" };
  return [
    ...levels,
    ...times.map((at) =>
      draw("text", { class: "tick", x: frame.x(at), y: HEIGHT - 5, "text-anchor": ends[at] ?? "middle" }, clockOf(slots[at].at / 1000).slice(-5)),
    ),
  ];
}

function bars(frame, slots) {
  const most = Math.max(1, ...slots.map((slot) => slot.requests));
  return slots
    .map((slot, at) => [slot, at])
    .filter(([slot]) => slot.requests > 0)
    .map(([slot, at]) => {
      const height = Math.max(1.5, ((TRAFFIC - 10) * slot.requests) / most);
      return draw("rect", { class: "bar", x: frame.x(at) - frame.step * 0.38, width: frame.step * 0.76, y: frame.floor - height, height });
    });
}

/** One line through the slots that have a value; what lies between two of them is drawn thin. */
function line(frame, slots, shareAt, name) {
  const known = slots.map((slot, at) => [at, shareAt(slot)]).filter(([, share]) => share !== null);
  const path = known.map(([at, share], order) => `${order ? "L" : "M"}${frame.x(at).toFixed(1)} ${frame.y(share).toFixed(1)}`).join("");
  const lone = known.length === 1 ? [draw("circle", { cx: frame.x(known[0][0]), cy: frame.y(known[0][1]), r: 3, class: "dot" })] : [];
  return draw("g", { class: name }, draw("path", { d: path || "M0 0", fill: "none" }), ...lone);
}
