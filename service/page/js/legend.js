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
/** The legend of a chart; `missing` says whether any cell is. */
export function legend({ colouring, scale, conditions, overlays, hidden, missing }) {
  const phases = Object.keys(PHASES).filter((phase) => conditions.some((row) => row.phase === phase));
  const shown = overlays.filter(({ id, look }) => look && !hidden.has(id));
  return h(
    "div",
    { class: "legend" },
    colouring.kind === "phase" ? null : ramp(colouring, scale, missing),
    phases.length && (colouring.kind === "phase" || !hidden.has("glyph"))
      ? phaseList(phases, colouring.kind === "phase", !hidden.has("glyph"))
      : null,
    shown.length ? h("section", {}, h("h2", {}, "Lines and marks"), h("ul", {}, shown.map(sample))) : null,
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

/** The legend of a difference map: its colours, marks and the boundaries of both. */
export function differenceLegend({ one, other }, hidden) {
  const dot = (fill) =>
    svg(
      "svg",
      { width: 36, height: 14, "aria-hidden": "true" },
      svg("rect", { x: 11, y: 0, width: 14, height: 14, fill: "#cae1d2" }),
      svg("circle", { cx: 18, cy: 7, r: 4.4, fill, stroke: "#111", "stroke-width": 1.4 }),
    );
  const marks = [
    ["found", dot("#111"), "significant", "at a false discovery rate of 5 %"],
    ["alone", dot("#fff"), "p ≤ 0.05 alone", "not over all cells"],
    ["one", drawing({ type: "line", stroke: "#111" }), "boundary P = 1/2", one],
    ["other", drawing({ type: "line", stroke: "#111", dash: [6, 4] }), "boundary P = 1/2", other],
  ].filter(([id]) => !hidden.has(id));
  return h(
    "div",
    { class: "legend" },
    h(
      "section",
      {},
      h("h2", {}, "difference of P"),
      h("div", { class: "ramp differing", "aria-hidden": "true" }),
      h(
        "div",
        { class: "ramp-ends" },
        ["−1", "0", "+1"].map((end) => h("span", {}, end)),
      ),
    ),
    h(
      "section",
      {},
      h("h2", {}, "Lines and marks"),
      h(
        "ul",
        {},
        marks.map(([, mark, words, detail]) =>
          h("li", {}, mark, h("span", {}, words, h("span", { class: "muted" }, `  ${detail}`))),
        ),
      ),
    ),
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

function sample({ words, detail, look }) {
  return h("li", {}, drawing(look), h("span", {}, words, detail ? h("span", { class: "muted" }, `  ${detail}`) : null));
}

/** A mark as the chart draws it, with the white edge that makes it seen on every ground. */
export function drawing({ type, stroke, dash = null, fill = "none", opacity = 1 }) {
  const line = (color, width, dashes) =>
    svg("line", { x1: 1, x2: 35, y1: 7, y2: 7, stroke: color, "stroke-width": width, "stroke-dasharray": dashes });
  const shapes = {
    line: () => [line("#fff", 4.6, null), line(stroke, 2, dash?.join(" ") ?? null)],
    region: () => [
      svg("rect", { x: 1, y: 1, width: 34, height: 12, stroke, fill, "fill-opacity": opacity, "stroke-width": 1.6 }),
    ],
    point: () => [
      svg("path", { d: "M10 2L15 7L10 12L5 7Z", stroke, fill: stroke, "stroke-width": 1.6 }),
      svg("path", { d: "M26 2L31 7L26 12L21 7Z", stroke, fill: "#fff", "stroke-width": 1.6 }),
    ],
  };
  return svg("svg", { width: 36, height: 14, "aria-hidden": "true" }, shapes[type]());
}
