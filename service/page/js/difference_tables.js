// What a comparison says, as tables: whole panels, boundaries, cells, and the keys of the specs.

import { h } from "./element.js";
import { apart, at, boundariesOf } from "./displacement.js";
import { fixed, number, place } from "./words.js";

/** Rows of cells that are listed; all of them are in difference.parquet and the JSON. */
const MOST = 200;

export const signed = (value, decimals = 2) =>
  `${value < 0 ? "−" : "+"}${fixed(Math.abs(value), decimals)}`;

export const band = (value, low, high, decimals = 2) =>
  `${signed(value, decimals)} [${signed(low, decimals)}, ${signed(high, decimals)}]`;

/** A table in a frame that scrolls; columns are [words, whether numbers]. */
function table(label, columns, rows, frame = "scroll lines") {
  return h(
    "div",
    { class: frame, tabindex: "0", role: "region", "aria-label": label },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map(([words, isNumber]) => h("th", { scope: "col", class: isNumber ? "number" : null }, words)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            row.map((value, i) => h("td", { class: columns[i][1] ? "number" : null }, value)),
          ),
        ),
      ),
    ),
  );
}

const part = (title, ...children) => h("section", { class: "part" }, h("h2", {}, title), children);
const remark = (words) => h("p", { class: "muted small" }, words);

/** Each panel as a whole. */
export function wholePanels({ panels }) {
  if (!panels.length) return null;
  const rows = panels.map((panel) => [
    panel.label === panel.other_label ? panel.label : `${panel.label} → ${panel.other_label}`,
    `P(${panel.statistic})`,
    signed(panel.mean_difference, 3),
    panel.p_value === null ? "–" : number(panel.p_value, 2),
    `${panel.significant} of ${panel.cells}`,
  ]);
  return part(
    "Whole panels",
    remark("The mean over cells, and the probability of as much by chance if nothing in the panel differed."),
    table("Whole panels", [["panel"], ["of"], ["mean difference", true], ["p", true], ["significant cells", true]], rows),
  );
}

/** Each boundary's displacement in its middle, and at how many places it is not 0. */
export function displacements({ displacement }) {
  const rows = boundariesOf(displacement).map((found) => {
    const middle = found.rows[Math.floor(found.rows.length / 2)];
    return [
      found.panel,
      found.boundary,
      at(found, middle.x),
      band(middle.shift, middle.shift_low, middle.shift_high, 3),
      found.unit,
      `${apart(found)} of ${found.rows.length}`,
    ];
  });
  const columns = [["panel"], ["boundary"], ["at"], ["moves by [95 %]", true], ["in"], ["places without 0", true]];
  return table("Displacements", columns, rows);
}

/** Cells, the least likely to be chance first. */
export function cells({ cells: found, one, other }) {
  const shown = [...found]
    .filter((row) => row.difference !== 0)
    .sort((a, b) => a.p_value - b.p_value || Math.abs(b.difference) - Math.abs(a.difference));
  const significant = found.filter((row) => row.significant).length;
  const rows = shown.slice(0, MOST).map((row) => [
    place(row.sparsity),
    String(row.hidden_dim),
    activationOf(row),
    String(row.exponent),
    row.statistic,
    `${fixed(row.p_one)} of ${row.n_one}`,
    `${fixed(row.p_other)} of ${row.n_other}`,
    band(row.difference, row.low, row.high),
    `${number(row.p_value, 2)}${row.paired ? "" : " *"}`,
    number(row.q_value, 2),
    row.significant ? "yes" : "no",
  ]);
  const columns = [["S", true], ["n_m", true], ["activation"], ["α", true], ["of"], [one, true], [other, true]];
  columns.push(["difference [95 %]", true], ["p", true], ["q", true], ["significant"]);
  return part(
    "Cells",
    remark(
      `${significant} of ${found.length} cells differ significantly at a false discovery rate of 5 %; ` +
        `${shown.length} differ at all${shown.length > MOST ? `, the ${MOST} of the smallest p are listed` : ""}.` +
        `${shown.some((row) => !row.paired) ? " *: the seeds are not the same, so outcomes are not paired." : ""}`,
    ),
    rows.length ? table("Cells that differ", columns, rows, "grid-table") : null,
  );
}

const activationOf = (row) => {
  const mine = `${row.activation}${(row.k ?? row.l1) === null ? "" : `:${row.k ?? row.l1}`}`;
  return mine === row.other_activation ? mine : `${mine} → ${row.other_activation}`;
};

/** Keys of the specs with other values; the name and what no number depends on do not count. */
export function specChanges({ spec_changes: changes, one, other }) {
  const rows = changes.map((change) => [
    h("code", {}, change.key),
    ...[change.one, change.other].map((value) => h("code", {}, value === null ? "–" : shortened(value))),
  ]);
  return part(
    "What differs in the specs",
    rows.length
      ? table("Keys that differ", [["key"], [one], [other]], rows, "scroll")
      : remark("Nothing that a number depends on."),
  );
}

function shortened(value) {
  const text = JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)} …` : text;
}
