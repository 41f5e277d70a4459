// A diagram's Vega-Lite source, as the files have it, to the one that the page draws: its panels with other choices of
// panels, overlays, colours, width and theme. Pure: no document, no network.

import { PHASE_FILLS } from "./colour.js";
import { activation as activationOf } from "./words.js";

const ALWAYS = new Set(["cell", "missing", "note"]);
const OVERLAYS = {
  glyph: "phase glyphs",
  band: "95 % bands",
  "curve-random": "boundary, random start",
  "curve-truth": "boundary, truth start",
  n_line: "n_m = n",
  k_line: "n(1 − S) = k",
};
/** Pixels that axis titles, labels and the words beside the last panel take. */
const MARGIN = 102;
/** Bounds of a panel's sides in pixels, and of how much larger than in the files it is drawn where there is room. */
const LARGEST = 620;
const TALLEST = 520;
const MOST_LARGER = 1.7;
const MISSING = { light: { fill: "#f3f3f3", rule: "#b9b9b9" }, dark: { fill: "#24272b", rule: "#4b5058" } };

/** The names of a source's panels, in reading order. */
export const panelsOf = (source) => source.vconcat[0].facet.sort;

/** The source's words under the picture. */
export const captionOf = (source) =>
  source.datasets.key
    .filter((row) => row.layer === "caption")
    .map((row) => row.text)
    .join(" ");

/** Overlays that the source has marks for, as [id, words, whether the files show it]. */
export function overlaysOf(source) {
  const found = new Map([["glyph", OVERLAYS.glyph]]);
  for (const row of source.datasets.panels) {
    if (ALWAYS.has(row.layer)) continue;
    const id = overlayOf(row);
    if (row.layer === "curve") found.set("band", OVERLAYS.band);
    if (!found.has(id)) found.set(id, OVERLAYS[id] ?? switchOf(source, id)?.bind?.name ?? id.replaceAll("_", " "));
  }
  return [...found].map(([id, words]) => [id, words, switchOf(source, id)?.value ?? true]);
}

/** The source's own switch of an overlay: a parameter whose name ends with the overlay's. */
const switchOf = (source, id) => source.params?.find(({ name }) => name === `show_${id}` || name === id);

const overlayOf = (row) => (row.layer === "curve" ? `curve-${row.start}` : row.layer);

/** The pairs of field and words that the source shows when a cell is pointed at. */
export function tooltipOf(source) {
  const layers = source.vconcat[0].spec.layer.filter((layer) => layer.encoding?.tooltip);
  return layers.reduce(
    (longest, { encoding: { tooltip } }) => (tooltip.length > longest.length ? tooltip : longest),
    [],
  );
}

/** A source with the cells of later rows; its boundaries stay until a whole source comes. */
export function withRows(source, rows) {
  const kept = source.datasets.panels.filter((row) => row.layer !== "cell" && row.layer !== "missing");
  const cells = rows.panels.filter((row) => row.layer === "cell" || row.layer === "missing");
  const hatch = rows.hatch.length ? rows.hatch : source.datasets.hatch;
  return { ...source, datasets: { ...source.datasets, panels: [...cells, ...kept], hatch } };
}

/** The conditions by what names them, to find a cell's. */
export function indexConditions(conditions) {
  return new Map(
    conditions.map((row) => [conditionKey(row.sparsity, row.hidden_dim, activationOf(row), row.exponent), row]),
  );
}

/** A cell's condition; undefined for one that has no finished trial. */
export const conditionOf = (index, cell) => index.get(conditionKey(cell.S, cell.n_m, cell.activation, cell.exponent));

function conditionKey(sparsity, hiddenDim, activation = "", exponent = 0) {
  const [kind, argument = ""] = activation.split(":");
  // The argument as a number: Python and JavaScript write small ones differently.
  return [sparsity, hiddenDim, kind, argument && Number(argument), exponent].join(" ");
}

/** The source to draw. `choice`: panels, hidden (overlays), colouring, scale, index, width, dark, font. */
export function figure(source, choice) {
  const facet = source.vconcat[0];
  const shape = fit(facet, choice.panels.length, choice.width);
  const spec = rewrite(facet.spec, { ...choice, from: facet.spec, to: shape });
  Object.assign(spec, { width: shape.width, height: shape.height });
  spec.view = {
    ...spec.view,
    fill: MISSING[choice.dark ? "dark" : "light"].fill,
    stroke: choice.dark ? "#4b5058" : "#888",
  };
  return {
    $schema: source.$schema,
    background: null,
    padding: { left: 2, right: 18, top: 4, bottom: 4 },
    config: {
      font: choice.font,
      view: { stroke: null },
      axis: { titleColor: ink(choice), labelColor: ink(choice) },
      text: { color: ink(choice) },
    },
    // Hidden overlays have no rows, so that the source's own switches can all be on.
    params: (source.params ?? []).map(({ bind, ...rest }) => (bind ? { ...rest, value: true } : rest)),
    datasets: { panels: paint(source.datasets.panels, choice), hatch: source.datasets.hatch },
    data: facet.data,
    facet: {
      ...facet.facet,
      sort: choice.panels,
      header: { ...facet.facet.header, labelColor: ink(choice), labelFontWeight: 600 },
    },
    columns: shape.columns,
    spacing: facet.spacing,
    resolve: { axis: { x: choice.panels.length % shape.columns === 0 ? "shared" : "independent" } },
    spec,
  };
}

const ink = ({ dark }) => (dark ? "#e9e9e6" : "#1b1b1a");

/** How many panels stand beside each other in a width, and their sides; they grow into room that is left. */
export function fit(facet, panels, width) {
  const gap = facet.spacing.column;
  const { width: w, height: h } = facet.spec;
  const room = Math.max(160, width - MARGIN);
  const most = Math.max(1, Math.min(panels, facet.columns, Math.floor((room + gap) / (w + gap))));
  // As many rows as that takes, evenly filled.
  const columns = Math.ceil(panels / Math.ceil(panels / most));
  const scale = Math.min(
    (room - (columns - 1) * gap) / columns / w,
    LARGEST / w,
    Math.max(1, TALLEST / h),
    MOST_LARGER,
  );
  // A panel that has to be narrower than in the files keeps some of its height.
  return { columns, width: Math.round(w * scale), height: Math.round(h * (scale < 1 ? (1 + scale) / 2 : scale)) };
}

/** The rows of chosen panels and overlays; a cell's `shade` is what its colour says. */
function paint(rows, { panels, hidden, colouring, index }) {
  const shown = new Set(panels);
  const plain = colouring.id === "p_identified";
  const painted = [];
  for (const row of rows) {
    if (!shown.has(row.panel) || hidden.has(overlayOf(row))) continue;
    if (row.layer !== "cell") {
      painted.push(row);
      continue;
    }
    const glyph = row.glyph && !hidden.has("glyph");
    if (plain) {
      painted.push(glyph === row.glyph ? row : { ...row, glyph });
      continue;
    }
    const condition = conditionOf(index, row);
    const shade = condition ? colouring.read(condition) : null;
    if (shade === null || shade === undefined)
      painted.push({ ...row, layer: "missing", P: `no ${colouring.label} yet` });
    else painted.push({ ...row, glyph, shade });
  }
  return painted;
}

/** The panels' layers with the chosen colours and theme. */
function rewrite(value, choice) {
  if (Array.isArray(value)) {
    const bare = choice.hidden.has("band");
    return value.filter((entry) => !(bare && entry?.mark?.type === "area")).map((entry) => rewrite(entry, choice));
  }
  if (value === null || typeof value !== "object") return value;
  if (value.field === "p" && value.scale?.scheme && choice.colouring.id !== "p_identified") return shadeBy(choice);
  const out = {};
  for (const [key, entry] of Object.entries(value)) out[key] = rewrite(entry, choice);
  if ("labelExpr" in out)
    Object.assign(out, {
      labelColor: ink(choice),
      titleColor: ink(choice),
      labelOverlap: "greedy",
      labelFontSize: 11,
      titleFontSize: 12,
    });
  // Words beside a panel stand at its far sides, which have moved.
  for (const [axis, side] of [
    ["x", "width"],
    ["y", "height"],
  ]) {
    if (out.encoding?.[axis]?.value === choice.from[side]) out.encoding[axis] = { value: choice.to[side] };
  }
  if (out.mark?.type === "text") out.mark.color = choice.dark ? "#a5a7ab" : "#5c5c57";
  if (out.mark?.stroke === MISSING.light.rule) out.mark.stroke = MISSING[choice.dark ? "dark" : "light"].rule;
  return out;
}

function shadeBy({ colouring, scale }) {
  if (colouring.kind === "phase") {
    const phases = Object.keys(PHASE_FILLS);
    return {
      field: "shade",
      type: "nominal",
      legend: null,
      scale: { domain: phases, range: phases.map((phase) => PHASE_FILLS[phase]) },
    };
  }
  return { field: "shade", type: "quantitative", legend: null, scale: { domain: scale, scheme: "cividis" } };
}
