// A job's conditions as a table that can be sorted: the diagram's numbers, for eyes, ears and copying.

import { readConditions } from "./api.js";
import { empty, failure, h, waiting } from "./element.js";
import { activation, fixed, interval, number, phase, place, significant } from "./words.js";

const COLUMNS = [
  ["S", (row) => row.sparsity, place, true],
  ["n_m", (row) => row.hidden_dim, String, true],
  ["activation", activation, String, false],
  ["α", (row) => row.exponent, String, true],
  ["phase", (row) => row.phase ?? "", (_, row) => phase(row), false],
  ["seeds", (row) => row.n_seeds, String, true],
  [
    "P(identified) [95 %]",
    (row) => row.p_identified,
    (_, row) => interval(row.p_identified, row.p_low, row.p_high),
    true,
  ],
  [
    "P(identifiable) [95 %]",
    (row) => row.p_identifiable,
    (_, row) => (row.n_pairs ? interval(row.p_identifiable, row.p_identifiable_low, row.p_identifiable_high) : "–"),
    true,
  ],
  ["mcc", (row) => row.mcc_random, (value) => fixed(value, 3), true],
  ["chance", (row) => row.mcc_chance, (value) => fixed(value, 3), true],
  ["recovered, random", (row) => row.recovered_fraction_random, (value) => fixed(value), true],
  ["recovered, truth", (row) => row.recovered_fraction_truth, (value) => fixed(value), true],
  ["objective, random", (row) => row.objective_random, (value) => significant(value), true],
  ["objective, truth", (row) => row.objective_truth, (value) => significant(value), true],
  ["gt loss", (row) => row.gt_loss_random, (value) => number(value), true],
  ["L0", (row) => row.l0_random, (value) => number(value), true],
  ["loss slope", (row) => row.loss_slope_random, (value) => number(value), true],
  ["diverged", (row) => row.n_diverged, String, true],
];

export async function showTable(root, { live, signal }) {
  const body = h("div", {}, waiting("Reading the conditions …"));
  root.append(body);
  const sorting = { column: null, up: true };
  let rows = [];
  const show = () =>
    body.replaceChildren(
      rows.length ? table(rows, sorting, show) : empty("No condition yet", "Rows appear as trials finish."),
    );
  const refresh = async () => {
    try {
      rows = await readConditions(live.job.id, { signal });
      show();
    } catch (error) {
      if (!signal.aborted) body.replaceChildren(failure(error));
    }
  };
  let done = live.job.progress.trials_done;
  live.addEventListener(
    "change",
    () => {
      if (live.job.progress.trials_done !== done && !body.contains(document.activeElement)) refresh();
      done = live.job.progress.trials_done;
    },
    { signal },
  );
  await refresh();
}

function table(rows, sorting, show) {
  const shown =
    sorting.column === null
      ? rows
      : [...rows].sort(
          (a, b) => compare(COLUMNS[sorting.column][1](a), COLUMNS[sorting.column][1](b)) * (sorting.up ? 1 : -1),
        );
  const head = ([name, , , isNumber], i) => {
    const mine = sorting.column === i;
    return h(
      "th",
      {
        scope: "col",
        class: isNumber ? "number" : null,
        "aria-sort": mine ? (sorting.up ? "ascending" : "descending") : null,
      },
      h(
        "button",
        {
          type: "button",
          "data-column": i,
          onclick: () => {
            Object.assign(sorting, { column: i, up: mine ? !sorting.up : true });
            show();
            document.querySelector(`th button[data-column="${i}"]`).focus();
          },
        },
        name,
      ),
    );
  };
  return h(
    "div",
    {},
    h(
      "p",
      { class: "muted small" },
      `${rows.length} conditions; medians over seeds. All columns are in conditions.parquet.`,
    ),
    h(
      "div",
      { class: "grid-table", tabindex: "0", role: "region", "aria-label": "Conditions" },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, COLUMNS.map(head))),
        h(
          "tbody",
          {},
          shown.map((row) =>
            h(
              "tr",
              {},
              COLUMNS.map(([, read, say, isNumber]) =>
                h("td", { class: isNumber ? "number" : null }, say(read(row), row)),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

/** Ascending, with what is unknown last. */
function compare(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  return a < b ? -1 : 1;
}
