// A diagram's Vega-Lite source, as the files have it, to the one that the page draws: its panels with other choices of
// panels, overlays and colours. Pure: no document, no network.

import { PHASE_FILLS } from "./colour.js";
import { onPage } from "./facets.js";
import { activation as activationOf } from "./words.js";

const ALWAYS = new Set(["cell", "missing", "note"]);
/** Short names of what a diagram shows; an overlay of the source without one is called as the source calls it. */
const OVERLAYS = {
  glyph: "phase glyphs",
  band: "95 % bands",
  "curve-random": "boundary, random start",
  "curve-truth": "boundary, truth start",
  n_m: "n_m = n",
  k: "n(1 − S) = k",
  "2k": "n(1 − S) = 2k",
  donoho_tanner: "Donoho–Tanner",
  theorems: "promised region",
  gt_loss: "ground-truth loss",
  loss_gap: "loss gap",
  disagreement: "against the theorems",
};
/** Rows that a running job brings anew with every pack, without a fit. */
const LIVE = new Set(["cell", "missing", "disagreement"]);

/** The names of a source's panels, in reading order. */
export const panelsOf = (source) => source.vconcat[0].facet.sort;

/** The source's words under the picture. */
export const captionOf = (source) =>
  source.datasets.key
    .filter((row) => row.layer === "caption")
    .map((row) => row.text)
    .join(" ");

/**
 * What the source has marks for: [{id, words, detail, on, theory, look}], `on` where the files show it, `theory` for the
 * source's own switches, `look` for the legend.
 */
export function overlaysOf(source) {
  const found = new Set(["glyph"]);
  for (const row of source.datasets.panels) {
    if (ALWAYS.has(row.layer)) continue;
    found.add(overlayOf(row));
  }
  return [...found].map((id) => {
    const own = source.params?.find(({ name }) => name === `show_${id}`);
    const [name, ...detail] = (own?.bind?.name ?? id.replaceAll("_", " ")).split(" – ");
    const words = OVERLAYS[id] ?? name;
    return {
      id,
      words,
      detail: detail.join(" – ").replace(`: ${words}`, ""),
      on: own?.value ?? true,
      theory: own !== undefined,
      look: lookOf(source, id),
    };
  });
}

/** How the panels draw an overlay: {type, stroke, dash, fill, opacity}; null for glyphs and bands. */
function lookOf(source, id) {
  const named = id.startsWith("curve-") ? `datum.start === '${id.slice(6)}'` : `datum.layer === '${id}'`;
  const drawn = leaves(source.vconcat[0].spec.layer).filter(({ transform }) =>
    transform?.some(({ filter }) => String(filter).includes(named)),
  );
  for (const { mark, encoding } of drawn) {
    const at = encoding.stroke?.scale?.domain?.indexOf(id) ?? -1;
    if (at >= 0)
      return { type: "line", stroke: encoding.stroke.scale.range[at], dash: encoding.strokeDash.scale.range[at] };
    if (mark.type === "line" && mark.strokeDash) return { type: "line", stroke: mark.stroke, dash: mark.strokeDash };
    if (mark.type === "rect")
      return { type: "region", stroke: mark.stroke, fill: mark.fill, opacity: mark.fillOpacity };
    if (mark.type === "point") return { type: "point", stroke: mark.stroke };
  }
  return null;
}

const leaves = (layers) => layers.flatMap((layer) => (layer.layer ? leaves(layer.layer) : [layer]));

const overlayOf = (row) => (row.layer === "curve" ? `curve-${row.start}` : row.layer);

/** A source with the cells of later rows; its boundaries stay until a whole source comes. */
export function withRows(source, rows) {
  const kept = source.datasets.panels.filter((row) => !LIVE.has(row.layer));
  const cells = rows.panels.filter((row) => LIVE.has(row.layer));
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
  const datasets = { panels: paint(source.datasets.panels, choice), hatch: source.datasets.hatch };
  return onPage(source, source.vconcat[0], datasets, choice, (part) => recoloured(part, choice));
}

/** The rows of chosen panels and overlays; a cell's `shade` is what its colour says. */
function paint(rows, { panels, hidden, colouring, index }) {
  const shown = new Set(panels);
  const plain = colouring.id === "p_identified";
  const painted = [];
  for (const row of rows) {
    if (!shown.has(row.panel) || isHidden(row, hidden)) continue;
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

/** A band goes with its line. */
const isHidden = (row, hidden) =>
  hidden.has(overlayOf(row)) || (row.layer === "band" && hidden.has(`curve-${row.start}`));

/** The channel of the cells' colours by another one. */
function recoloured(part, choice) {
  if (part?.field === "p" && part.scale?.scheme && choice.colouring.id !== "p_identified") return shadeBy(choice);
  return undefined;
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
