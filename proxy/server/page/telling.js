// What the page says to people: what was done, what went wrong, and whether they are sure.

import { find, openDialog, write } from "./elements.js";

let timer = 0;

/** Say something in passing. */
export function say(text, isWrong = false) {
  const place = find("said");
  write(place, text);
  place.classList.toggle("wrong", isWrong);
  place.classList.add("shown");
  clearTimeout(timer);
  timer = setTimeout(() => place.classList.remove("shown"), isWrong ? 9000 : 5000);
}

/** Do something, and say what went wrong with it. */
export async function attempt(what, action) {
  try {
    return await action();
  } catch (error) {
    say(`${what}: ${error.message}`, true);
    return undefined;
  }
}

/** Ask whether somebody is sure. */
export async function confirmed(title, text, yes) {
  write(find("confirm-title"), title);
  write(find("confirm-text"), text);
  write(find("confirm-yes"), yes);
  return (await openDialog(find("confirm"))) === "yes";
}
