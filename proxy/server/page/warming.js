// Warming: what is to be fetched, what it would cost, and how far it is.

import { change, listOf, read } from "./api.js";
import { find, make, progressBar, showProgress, showRows, write } from "./elements.js";
import { attempt, say } from "./telling.js";
import { ageOf, countOf, platformOf, shortName, sizeOf } from "./words.js";

const SHOWN = 8;
const ENDINGS = { done: "is done", failed: "failed", cancelled: "was cancelled" };
let jobs = [];
let fleet = "";

/** Prepare the form. */
export function prepareWarming() {
  find("warm-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt("warm", () => start(event.submitter?.value === "dry"));
  });
}

/** Offer the platforms that this proxy serves. */
export function showFleet(platforms) {
  if (fleet === platforms.join()) return;
  fleet = platforms.join();
  find("warm-platforms").replaceChildren(
    ...platforms.map((one) => make("label", { class: "check" }, make("input", { type: "checkbox", value: one, checked: true }), platformOf(one))),
  );
}

async function start(isDry) {
  const images = find("warm-images").value.split(/[\s,]+/).filter(Boolean);
  const boxes = [...find("warm-platforms").querySelectorAll("input")];
  const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
  if (images.length === 0 || (boxes.length > 0 && chosen.length === 0)) {
    say("Name an image, and choose a platform.", true);
    return;
  }
  const body = { images, platforms: chosen, pin: find("warm-pin").checked, dry_run: isDry };
  await change("POST", "/warm", { body });
  say(isDry ? `Asking what ${countOf(images.length, "image")} would cost.` : `Warming ${countOf(images.length, "image")}.`);
  await loadJobs();
}

/** Load the jobs. */
export async function loadJobs({ isPatient = true } = {}) {
  jobs = listOf(await read("/warm", {}, { isPatient }), "jobs");
  show();
}

/** Tell whether a job is under way. */
export const isWarming = () => jobs.some((job) => job.state === "running");

/** Take a job as it is now; answer whether it was told in full. */
export function takeJob(told) {
  if (!told.id || !told.orders) return false;
  const before = jobs.find((job) => job.id === told.id);
  jobs = before ? jobs.map((job) => (job.id === told.id ? told : job)) : [told, ...jobs];
  show();
  return true;
}

function show() {
  const shown = [...jobs].sort((one, other) => String(other.created_at).localeCompare(String(one.created_at), "en", { numeric: true })).slice(0, SHOWN);
  showRows(find("jobs"), shown, (job) => job.id, makeJob);
}

function makeJob(id) {
  const title = make("span", { class: "name" });
  const state = make("span", { class: "tag" });
  const bar = progressBar("Warmed");
  const note = make("span", { class: "quiet number" });
  const orders = make("ul", { class: "orders" });
  const cancel = make("button", { type: "button", class: "plain", onclick: () => attempt("cancel", () => cancelJob(id)) }, "Cancel");
  const row = make("li", { class: "job" }, make("div", { class: "job-line" }, title, state, cancel), bar, note, orders);
  let was = "";
  const showJob = (job) => {
    const names = job.orders.map((order) => shortName(order.reference));
    write(title, names.length > 2 ? `${names[0]} and ${names.length - 1} more` : names.join(", ") || job.id);
    write(state, job.state);
    state.className = `tag ${{ done: "good", failed: "bad" }[job.state] ?? "other"}`;
    cancel.hidden = job.state !== "running";
    cancel.setAttribute("aria-label", `Cancel warming ${names[0] ?? job.id}`);
    const size = sum(job.orders, "size");
    const written = sum(job.orders, "written");
    bar.hidden = job.state !== "running";
    bar.setAttribute("aria-label", `Warmed of ${names[0] ?? job.id}`);
    showProgress(bar, written, size);
    write(note, noteOf(job, written, size));
    showRows(orders, job.orders, (order) => order.reference, makeOrder);
    if (was === "running" && job.state in ENDINGS) say(`Warming ${names[0] ?? ""} ${ENDINGS[job.state]}.`, job.state === "failed");
    was = job.state;
  };
  return { row, show: showJob };
}

const sum = (orders, field) => orders.reduce((total, order) => total + (order[field] ?? 0), 0);

function noteOf(job, written, size) {
  const isDry = job.dry_run || (job.state === "done" && job.cost && !job.spent?.requests && written === 0);
  const cost = job.cost ? `${countOf(job.cost.requests, "request")}, ${sizeOf(job.cost.size)}` : "";
  if (isDry) return `would cost ${cost} · ${ageOf(job.created_at)}`;
  const spent = job.spent?.requests ? `${countOf(job.spent.requests, "request")} to upstream` : "";
  return [size ? `${sizeOf(written)} of ${sizeOf(size)}` : cost, spent, ageOf(job.ended_at ?? job.created_at)].filter(Boolean).join(" · ");
}

function makeOrder() {
  const mark = make("span", { class: "mark", "aria-hidden": "true" });
  const text = make("span", { class: "name" });
  const state = make("span", { class: "quiet number" });
  const row = make("li", {}, mark, text, state);
  const showOrder = (order) => {
    row.dataset.state = order.state;
    write(mark, { done: "✓", failed: "✕", fetching: "↓", postponed: "…" }[order.state] ?? "·");
    write(text, `${shortName(order.reference)} ${(order.platforms ?? []).map(platformOf).join(", ")}`);
    const missing = order.missing?.length ? `nothing for ${order.missing.map(platformOf).join(", ")}` : "";
    const size = order.size ? (order.state === "fetching" ? `${sizeOf(order.written)} of ${sizeOf(order.size)}` : sizeOf(order.size)) : "";
    write(state, [order.state, size, missing, order.error].filter(Boolean).join(" · "));
  };
  return { row, show: showOrder };
}

async function cancelJob(id) {
  await change("DELETE", `/warm/${encodeURIComponent(id)}`);
  await loadJobs();
}
