// The API: questions, changes, and what it tells by itself. A token is asked for when it is needed, and kept by the tab.

import { find, openDialog } from "./elements.js";

const ROOT = "/api/v1";
const KEY = "polyarch.token";
const SILENCE_SECONDS = 40; // the server says something every 15

/** What the API refused, in its own words. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function headers(more = {}) {
  const token = sessionStorage.getItem(KEY);
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

let asking = null;

/** Ask for the token; answer whether there is one now. One question at a time, however many answers were 401. */
function askToken(reason) {
  asking ??= askOnce(reason).finally(() => {
    asking = null;
  });
  return asking;
}

async function askOnce(reason) {
  const dialog = find("ask-token");
  const field = find("token");
  find("token-reason").textContent = reason;
  find("token-cancel").onclick = () => dialog.close("no");
  field.value = "";
  const answer = openDialog(dialog);
  field.focus();
  const said = await answer;
  const token = field.value.trim();
  field.value = "";
  if (said !== "yes") return false;
  // What cannot stand in a header is nobody's token, and the browser would refuse to send it.
  if (!/^[ -~]+$/.test(token)) return askOnce("A token is of plain letters, digits and signs.");
  sessionStorage.setItem(KEY, token);
  return true;
}

async function send(method, path, body, isPatient) {
  const used = sessionStorage.getItem(KEY);
  const options = { method, headers: headers(body === undefined ? {} : { "Content-Type": "application/json" }), cache: "no-store" };
  if (body !== undefined) options.body = JSON.stringify(body);
  const response = await fetch(ROOT + path, options);
  if (response.ok) return response.status === 204 ? null : readJson(response);
  const reason = await reasonOf(response);
  if (response.status === 401 && isPatient) {
    // Somebody may have given it while this question was under way.
    if (sessionStorage.getItem(KEY) !== used || (await askToken(reason))) return send(method, path, body, true);
  }
  throw new Refused(response.status, reason);
}

async function readJson(response) {
  const text = await response.text();
  return text === "" ? null : JSON.parse(text);
}

async function reasonOf(response) {
  try {
    const told = await response.json();
    return told.errors.map((error) => error.message).join("; ") || response.statusText;
  } catch {
    return response.statusText || `status ${response.status}`;
  }
}

const pathOf = (path, query) => {
  const fields = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return fields.length ? `${path}?${new URLSearchParams(fields)}` : path;
};

/** Ask; a 401 asks for the token only where somebody waits for the answer. */
export const read = (path, query = {}, { isPatient = true } = {}) => send("GET", pathOf(path, query), undefined, isPatient);

/** Change something. */
export const change = (method, path, { query = {}, body } = {}) => send(method, pathOf(path, query), body, true);

/** Answer the list out of an answer that is one, or that holds one under a name. */
export function listOf(told, name) {
  return Array.isArray(told) ? told : (told?.[name] ?? []);
}

/**
 * Follow what the server tells, for ever. Over fetch and not EventSource, which cannot show a token.
 * @param {{event: (name: string, fields: any) => void, state: (isLive: boolean) => void}} listener
 */
export async function follow(listener) {
  for (let pause = 1; ; pause = Math.min(pause * 2, 30)) {
    try {
      await followOnce(listener, () => {
        pause = 1;
      });
    } catch {
      // It is asked again below; meanwhile the page polls.
    }
    listener.state(false);
    await new Promise((resolve) => setTimeout(resolve, pause * 1000));
  }
}

async function followOnce(listener, begun) {
  const end = new AbortController();
  let timer = setTimeout(() => end.abort(), SILENCE_SECONDS * 1000);
  const response = await fetch(`${ROOT}/events`, {
    headers: headers({ Accept: "text/event-stream" }),
    cache: "no-store",
    signal: end.signal,
  });
  try {
    if (!response.ok || !response.body) throw new Refused(response.status, "no events");
    listener.state(true);
    begun();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => end.abort(), SILENCE_SECONDS * 1000);
      const blocks = (text + value).split(/\r?\n\r?\n/);
      text = blocks.pop() ?? "";
      for (const block of blocks) tell(block, listener);
    }
  } finally {
    clearTimeout(timer);
    end.abort();
  }
}

function tell(block, listener) {
  let name = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  if (data.length === 0) return;
  try {
    listener.event(name, JSON.parse(data.join("\n")));
  } catch (error) {
    console.warn("an event that cannot be read", error);
  }
}
