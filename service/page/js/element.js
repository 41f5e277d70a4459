// Names, properties and children to elements. Text is set as text, never as markup: names are strangers' words.

/** An element: `on…` properties are listeners, true and false are bare attributes, null leaves an attribute out. */
export function h(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

/** The same for SVG. */
export function svg(name, properties = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), properties, children);
}

function fill(element, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked") element[key] = value;
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/** Say something to screen readers, without moving the focus. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** What stands where something will be, is not, or could not be. */
export const waiting = (text) => h("p", { class: "waiting", role: "status" }, text);
export const failure = (error) =>
  h("div", { class: "notice bad", role: "alert" }, h("p", {}, error.message || String(error)));
export const empty = (title, text, ...more) =>
  h("div", { class: "empty" }, h("h2", {}, title), h("p", {}, text), ...more);

/** Pairs of words and values as a list of facts. */
export const facts = (pairs) =>
  h(
    "dl",
    { class: "facts" },
    pairs.map(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]),
  );

/** A drop-down; options are [value, words] pairs. */
export function choice(label, options, value, onchange) {
  const select = h(
    "select",
    { onchange: () => onchange(select.value) },
    options.map(([id, words]) => h("option", { value: id, selected: id === value }, words)),
  );
  return h("label", {}, label, select);
}

/** A row of checkboxes; items are [id, words, on, more words for who points at it]. */
export function checks(legend, items, onchange) {
  const boxes = items.map(([id, words, on, detail]) => {
    const box = h("input", { type: "checkbox", checked: on, value: id, onchange: () => onchange(id, box.checked) });
    return h("label", { class: "check", title: detail || null }, box, words);
  });
  return h("fieldset", { class: "choices" }, h("legend", {}, legend), boxes);
}
