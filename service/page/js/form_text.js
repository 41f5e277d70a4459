// What is typed in a field to the value of a spec, and back. Nothing is refused here: the service says what is wrong.

/** The words for a number's range. */
export function range({ type, minimum, maximum, exclusiveMinimum, exclusiveMaximum }) {
  if (type !== "integer" && type !== "number") return "";
  const low =
    minimum !== undefined ? `${minimum} or more` : exclusiveMinimum !== undefined ? `above ${exclusiveMinimum}` : "";
  const high =
    maximum !== undefined
      ? `at most ${maximum}`
      : exclusiveMaximum !== undefined && exclusiveMaximum < 1e15
        ? `below ${exclusiveMaximum}`
        : "";
  return low || high ? `(${[low, high].filter(Boolean).join(", ")})` : "";
}

/** A value as one would type it. */
export function write(value) {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value)) return value.map(write).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** A number where the text is one; else the text, so that the service can say what is wrong with it. */
function scalar(text) {
  const value = Number(text);
  return text.trim() !== "" && Number.isFinite(value) ? value : text.trim();
}

/** The value of what was typed for a shape; undefined for nothing. */
export function readText(text, shape) {
  if (text.trim() === "") return undefined;
  if (shape.type === "string") return text;
  if (shape.type === "array") return readList(text);
  if (shape.anyOf?.some(({ type }) => type === "array") && /[,\s]/.test(text.trim())) return readList(text);
  return scalar(text);
}

/** Values with commas or blanks between them. */
export function readList(text) {
  const parts = text.split(/[,\s]+/).filter(Boolean);
  return parts.length ? parts.map(scalar) : undefined;
}

/** JSON, or the text itself while it is none. */
export function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
