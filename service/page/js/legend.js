// What colours, glyphs and lines mean, beside the chart.

import { PHASE_FILLS } from "./colour.js";
import { h, svg } from "./element.js";
import { PHASES, number } from "./words.js";

const READS = {
  recovered: "random starts find the features",
  optimiser_limited: "optimal, but training does not find it",
  objective_limited: "the loss prefers others",
  not_recovered: "random starts miss them",
};
const SHAPES = {
  recovered: () => svg("circle", { cx: 7, cy: 7, r: 5 }),
  optimiser_limited: () => svg("path", { d: "M7 2L12.5 12H1.5Z" }),
  objective_limited: () => cross(),
  not_recovered: () => cross(),
};
const cross = () =>
  svg("path", { d: "M2.5 4.3L4.3 2.5L7 5.2L9.7 2.5L11.5 4.3L8.8 7L11.5 9.7L9.7 11.5L7 8.8L4.3 11.5L2.5 9.7L5.2 7Z" });
const LINES = {
  "curve-random": { words: "random start: identified", dash: null, stroke: "var(--random)", width: 2.2 },
  "curve-truth": { words: "truth start: identifiable", dash: "6 4", stroke: "var(--truth)", width: 2.2 },
  n_line: { words: "as many latents as features", dash: "2 3", stroke: "var(--random)", width: 1.3 },
  k_line: { words: "k features active on average", dash: "8 3 2 3", stroke: "var(--random)", width: 1.3 },
};

/** The legend of a chart; `missing` says whether any cell is. */
export function legend({ colouring, scale, conditions, overlays, hidden, missing }) {
  const phases = Object.keys(PHASES).filter((phase) => conditions.some((row) => row.phase === phase));
  const shown = overlays.filter(([id]) => id !== "glyph" && id !== "band" && !hidden.has(id));
  return h(
    "div",
    { class: "legend" },
    colouring.kind === "phase" ? null : ramp(colouring, scale, missing),
    phases.length && (colouring.kind === "phase" || !hidden.has("glyph"))
      ? phaseList(phases, colouring.kind === "phase", !hidden.has("glyph"))
      : null,
    shown.length ? h("section", {}, h("h2", {}, "Lines"), h("ul", {}, shown.map(line))) : null,
  );
}

function ramp(colouring, [low, high], missing) {
  return h(
    "section",
    {},
    h("h2", {}, colouring.label),
    h("div", { class: "ramp", "aria-hidden": "true" }),
    h(
      "div",
      { class: "ramp-ends" },
      h("span", {}, number(low)),
      h("span", {}, number((low + high) / 2)),
      h("span", {}, number(high)),
    ),
    missing ? h("p", { class: "small muted" }, "hatched: no finished trial, or all diverged") : null,
  );
}

function phaseList(phases, filled, glyphs) {
  const item = (phase) => {
    const box = svg("svg", { width: 22, height: 16, viewBox: "-4 -1 22 16", "aria-hidden": "true" });
    if (filled) box.append(svg("rect", { x: -4, y: -1, width: 22, height: 16, fill: PHASE_FILLS[phase] }));
    if (glyphs) {
      const shape = SHAPES[phase]();
      shape.setAttribute("fill", filled ? "#111" : "currentColor");
      box.append(shape);
    }
    return h(
      "li",
      {},
      box,
      h("span", {}, h("b", {}, PHASES[phase]), h("span", { class: "muted" }, `  ${READS[phase]}`)),
    );
  };
  return h(
    "section",
    {},
    h("h2", {}, "Phase"),
    h("ul", {}, phases.map(item)),
    glyphs ? h("p", { class: "small muted" }, "hollow: seeds leave the phase open") : null,
  );
}

function line([id, label]) {
  const { words, dash, stroke, width } = LINES[id] ?? { words: "", dash: "4 2", stroke: "var(--muted)", width: 1.3 };
  const box = svg(
    "svg",
    { width: 34, height: 10, "aria-hidden": "true" },
    svg("line", { x1: 0, x2: 34, y1: 5, y2: 5, stroke, "stroke-width": width, "stroke-dasharray": dash }),
  );
  return h("li", {}, box, h("span", {}, label, words ? h("span", { class: "muted" }, `  ${words}`) : null));
}
