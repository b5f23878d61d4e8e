// Elements out of text: whatever a stranger named lands in textContent or in an attribute, never in markup.

/**
 * Make an element.
 * @param {string} tag
 * @param {Record<string, string | number | boolean | EventListener | undefined>} [traits] attributes; `onclick` and its like are listeners
 * @param {...(Node | string | number | null | undefined | false)} children
 */
export function make(tag, traits = {}, ...children) {
  return furnish(document.createElement(tag), traits, children);
}

/** Make an element of a drawing. */
export function draw(tag, traits = {}, ...children) {
  return furnish(document.createElementNS("http://www.w3.org/2000/svg", tag), traits, children);
}

function furnish(element, traits, children) {
  for (const [name, value] of Object.entries(traits)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false).map(asNode));
  return element;
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

/** Find an element of the page by its id. */
export function find(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}

/** Write a text, and touch nothing where it stands already: a reader of the screen would read it again. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Show a list with one row a thing, and keep the rows that are there: focus and what is open stay.
 * @param {Element} list
 * @param {Array<any>} things
 * @param {(thing: any) => string} keyOf
 * @param {(key: string) => {row: Element, show: (thing: any) => void}} makeRow
 */
export function showRows(list, things, keyOf, makeRow) {
  const kept = (list.rowsByKey ??= new Map());
  const wanted = new Set(things.map(keyOf));
  for (const [key, made] of kept) {
    if (!wanted.has(key)) {
      made.row.remove();
      kept.delete(key);
    }
  }
  let position = list.firstElementChild;
  for (const thing of things) {
    const key = keyOf(thing);
    let made = kept.get(key);
    if (made === undefined) {
      made = makeRow(key);
      kept.set(key, made);
    }
    made.show(thing);
    if (made.row === position) position = position.nextElementSibling;
    else list.insertBefore(made.row, position);
  }
}

/** Make a bar of how far something is. */
export function progressBar(label) {
  return make("progress", { max: 1, "aria-label": label });
}

/** Show how far something is; a bar without an end where the whole is not known. */
export function showProgress(bar, part, whole) {
  if (whole > 0) bar.value = Math.min(1, part / whole);
  else bar.removeAttribute("value");
}

/** Open a dialog; answer what it was closed with, "no" unless somebody said otherwise. */
export function openDialog(dialog) {
  dialog.returnValue = "no";
  return new Promise((resolve) => {
    const close = () => {
      if (dialog.open) return; // told late, of the time before
      dialog.removeEventListener("close", close);
      resolve(dialog.returnValue);
    };
    dialog.addEventListener("close", close);
    dialog.showModal();
  });
}
