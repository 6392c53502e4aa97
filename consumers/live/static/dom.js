// Elements made of data. Text is always set as text: no name, tag or value of a run is ever read as HTML.

/** Make an element: attributes by name (`class`, `href`, `on…` listeners; null leaves one out), then children. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Set the text of an element only when it differs: untouched text stays selectable and is not laid out again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Find an element of the page by id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A status: a coloured dot and its word. */
export function statusChip(state) {
  return el("span", { class: `state state-${state}` }, state);
}
