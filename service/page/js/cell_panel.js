// A condition of the diagram to what is known of it: its numbers, its trials, the cosine curve, and cuts through it.

import { readTrials } from "./api.js";
import { colourings } from "./colour.js";
import { alongAxis, cosineCurve, cut } from "./curves.js";
import { announce, choice, facts, failure, h, waiting } from "./element.js";
import { isDark } from "./theme.js";
import { FONT, render } from "./vega.js";
import { activation, fixed, interval, number, phase, place, significant } from "./words.js";

const COLUMNS = [
  "seed",
  "start",
  "identified",
  "recovered_fraction",
  "mcc",
  "objective",
  "loss_slope",
  "diverged",
  "feature_cosine",
];
const AXES = ["sparsity", "hidden_dim", "activation", "exponent"];

export class CellPanel {
  constructor(root, live, signal, close) {
    Object.assign(this, { live, signal, turn: 0 });
    this.title = h("h2", { id: "cell-title", tabindex: "-1" });
    this.body = h("div", {});
    this.element = h(
      "section",
      {
        class: "side",
        "aria-labelledby": "cell-title",
        onkeydown: (event) => {
          if (event.key === "Escape") close();
        },
      },
      h(
        "div",
        { class: "side-head" },
        this.title,
        h("button", { type: "button", class: "quiet", onclick: close }, "Close"),
      ),
      this.body,
    );
    root.append(this.element);
    document.addEventListener(
      "theme",
      () => {
        if (this.condition && !this.element.parentElement.hidden) this.drawCharts();
      },
      { signal },
    );
  }

  async show(condition, conditions, colouring) {
    const turn = ++this.turn;
    Object.assign(this, {
      condition,
      conditions,
      colouring: colouring.kind === "phase" ? colourings(conditions)[0] : colouring,
    });
    this.title.textContent = nameOf(condition);
    this.trials = h("section", { class: "trials" }, h("h3", {}, "Trials"), waiting("Reading the trials …"));
    this.curve = h("div", { class: "small-chart", role: "img" });
    this.cuts = h("div", {});
    this.body.replaceChildren(
      numbers(condition),
      this.trials,
      h(
        "section",
        {},
        h("h3", {}, "Features recovered, by cosine threshold"),
        this.curve,
        h(
          "p",
          { class: "small muted" },
          "Solid: random starts. Dashed: truth starts. Dotted: the thresholds of `recovery`.",
        ),
      ),
      h("section", { class: "cuts" }, h("h3", {}, "Cuts through this cell"), this.metricChoice(), this.cuts),
    );
    this.title.focus({ preventScroll: true });
    announce(`Opened ${this.title.textContent}`);
    try {
      const found = await readTrials(
        this.live.job.id,
        { ...where(condition, AXES), columns: COLUMNS },
        { signal: this.signal },
      );
      if (turn !== this.turn) return;
      this.rows = found.sort((a, b) => a.start.localeCompare(b.start) || a.seed - b.seed);
      this.trials.replaceChildren(h("h3", {}, "Trials"), trialTable(this.rows));
      await this.drawCharts();
    } catch (error) {
      if (turn === this.turn && !this.signal.aborted) this.trials.replaceChildren(failure(error));
    }
  }

  metricChoice() {
    const known = colourings(this.conditions).filter(({ kind }) => kind !== "phase");
    return h(
      "div",
      { class: "tools" },
      choice(
        "Show",
        known.map(({ id, label }) => [id, label]),
        this.colouring.id,
        (id) => {
          this.colouring = known.find((entry) => entry.id === id);
          this.drawCharts();
        },
      ),
    );
  }

  async drawCharts() {
    const turn = this.turn;
    const options = { dark: isDark(), font: FONT, width: Math.max(220, this.body.clientWidth) };
    const { recovery } = this.live.job.spec;
    const { condition, conditions, colouring } = this;
    await put(this.curve, cosineCurve(this.rows ?? [], recovery, options));
    this.curve.setAttribute("aria-label", curveWords(this.rows ?? [], recovery));
    const charts = [];
    for (const axis of ["sparsity", "hidden_dim"]) {
      const rows = alongAxis(conditions, condition, axis);
      if (rows.length < 2) continue;
      const seeds = colouring.metric
        ? await readTrials(
            this.live.job.id,
            {
              ...where(
                condition,
                AXES.filter((name) => name !== axis),
              ),
              start: [colouring.start],
              columns: ["sparsity", "hidden_dim", colouring.metric],
            },
            { signal: this.signal },
          )
        : [];
      const chart = h("div", {
        class: "small-chart",
        role: "img",
        "aria-label": `${colouring.label} along ${axis.replace("_", " ")}, ${rows.length} conditions`,
      });
      await put(chart, cut(rows, condition, axis, colouring, seeds, options));
      charts.push(chart);
    }
    if (turn !== this.turn || colouring !== this.colouring) return;
    this.cuts.replaceChildren(
      ...charts,
      charts.length
        ? h(
            "p",
            { class: "small muted" },
            colouring.low ? "Bars: 95 % Wilson intervals." : "Small points: seeds. Line: their median.",
          )
        : h("p", { class: "small muted" }, "No neighbour has finished yet."),
    );
  }
}

async function put(element, source) {
  const canvas = h("div", {});
  element.view?.finalize();
  element.view = await render(canvas, source);
  element.replaceChildren(canvas);
}

/** The filters of /trials that pick a condition, or a line through it. */
function where(condition, axes) {
  const values = { ...condition, activation: activation(condition) };
  return Object.fromEntries(axes.map((name) => [name, [values[name]]]));
}

function nameOf(row) {
  const parts = [`S ${place(row.sparsity)}`, `n_m ${row.hidden_dim}`, activation(row)];
  return [...parts, ...(row.exponent ? [`α ${row.exponent}`] : [])].join(" · ");
}

function numbers(row) {
  const pairs = [
    ["Phase", phase(row)],
    [
      "P(identified)",
      `${interval(row.p_identified, row.p_low, row.p_high)}, ${row.n_identified ?? 0} of ${row.n_seeds} seeds`,
    ],
  ];
  if (row.n_pairs)
    pairs.push([
      "P(identifiable)",
      `${interval(row.p_identifiable, row.p_identifiable_low, row.p_identifiable_high)}, ` +
        `${row.n_identifiable} of ${row.n_pairs} seeds`,
    ]);
  pairs.push(
    ["mcc", `${number(row.mcc_random)}, chance ${number(row.mcc_chance)}`],
    ["Objective", `${significant(row.objective_random)} random / ${significant(row.objective_truth)} truth`],
  );
  if (row.n_diverged) pairs.push(["Diverged", `${row.n_diverged} trials`]);
  return facts(pairs);
}

function trialTable(trials) {
  const line = (trial) =>
    h(
      "tr",
      {},
      h("td", {}, trial.start),
      h("td", { class: "number" }, String(trial.seed)),
      h("td", {}, trial.diverged ? "diverged" : trial.identified ? "yes" : "no"),
      h("td", { class: "number" }, fixed(trial.recovered_fraction)),
      h("td", { class: "number" }, fixed(trial.mcc, 3)),
      h("td", { class: "number" }, significant(trial.objective)),
    );
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Trials of this cell" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["start", "seed", "identified", "recovered", "mcc", "objective"].map((name, i) =>
            h("th", { scope: "col", class: i === 1 || i > 2 ? "number" : null }, name),
          ),
        ),
      ),
      h("tbody", {}, trials.map(line)),
    ),
  );
}

function curveWords(trials, recovery) {
  const reach = trials.filter((trial) => trial.identified).length;
  const asked = `${recovery.fraction} of their features at ${recovery.cosine}`;
  return `Share of features at or above each cosine, for ${trials.length} trials; ${reach} have at least ${asked}`;
}
