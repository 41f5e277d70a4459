// The address after "#" to a view's name, arguments and choices, and back: what is seen can be shared by its URL.

export function readAddress(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#/, "").split("?");
  return { parts: path.split("/").filter(Boolean).map(decodeURIComponent), choices: new URLSearchParams(query) };
}

/** Keep a choice in the address, without a new entry in the history; null takes it out. */
export const keep = (name, value) => keepAll(name, value === null || value === "" ? [] : [value]);

/** Keep a choice of several values. */
export function keepAll(name, values) {
  const [path, query = ""] = location.hash.split("?");
  const choices = new URLSearchParams(query);
  choices.delete(name);
  for (const value of values) choices.append(name, value);
  const text = choices.toString();
  history.replaceState(null, "", `${path || "#/"}${text ? `?${text}` : ""}`);
}
