// A job's diagram, filling in while the job runs, with what can be chosen of it and the cell that is looked into.

import { Problem, readConditions, readJson, readSource } from "./api.js";
import { keep, keepAll } from "./address.js";
import { Chart } from "./chart.js";
import { colourings, domain } from "./colour.js";
import { CellPanel } from "./cell_panel.js";
import {
  captionOf,
  conditionOf,
  figure,
  indexConditions,
  overlaysOf,
  panelsOf,
  withRows,
} from "./diagram.js";
import { checks, choice, failure, h } from "./element.js";
import { tooltipOf } from "./facets.js";
import { legend } from "./legend.js";
import { isDark } from "./theme.js";
import { FONT } from "./vega.js";
import { place } from "./words.js";

/** Shortest time in ms between two fits of the boundaries of a running job: each takes seconds of the service. */
const WHOLE_EVERY = 15_000;

export async function showDiagram(root, { live, choices, signal }) {
  const view = new DiagramView(root, live, choices, signal);
  await view.start();
}

class DiagramView {
  constructor(root, live, choices, signal) {
    Object.assign(this, { live, signal, source: null, conditions: [], version: 0, wholeAt: -Infinity });
    this.colour = choices.get("colour") ?? "p_identified";
    this.hiddenPanels = new Set(choices.getAll("without"));
    /** What was chosen of overlays, against what the files show. */
    this.overlays = new Map([
      ...choices.getAll("hide").map((id) => [id, false]),
      ...choices.getAll("show").map((id) => [id, true]),
    ]);
    this.wanted = choices.get("cell");
    this.controls = h("div", { class: "controls" });
    this.key = h("div", {});
    this.wait = h("div", { class: "figure-wait", role: "status" }, "Drawing …");
    this.problem = h("div", {});
    this.caption = h("p", { class: "caption" });
    this.chart = new Chart({ label: "", describe: (row) => this.describe(row), choose: (row) => this.open(row) });
    this.chart.element.hidden = true;
    this.side = h("div", { hidden: true });
    this.main = h(
      "div",
      { class: "main" },
      this.controls,
      this.problem,
      this.wait,
      this.chart.element,
      this.key,
      this.caption,
    );
    this.frame = h("div", { class: "with-side" }, this.main, this.side);
    root.append(this.frame);
    signal.addEventListener("abort", () => this.chart.close());
  }

  async start() {
    const { live, signal } = this;
    let done = live.job.progress.trials_done;
    let { status } = live.job;
    live.addEventListener(
      "change",
      () => {
        if (live.job.progress.trials_done === done && live.job.status === status) return;
        ({ trials_done: done } = live.job.progress);
        ({ status } = live.job);
        this.refresh();
      },
      { signal },
    );
    document.addEventListener("theme", () => this.redraw(), { signal });
    let width = 0;
    const observer = new ResizeObserver(() => {
      if (Math.abs(this.main.clientWidth - width) > 4) {
        width = this.main.clientWidth;
        this.redraw();
      }
    });
    observer.observe(this.main);
    signal.addEventListener("abort", () => observer.disconnect());
    await this.refresh();
  }

  /** Read what is new and draw it; one reading at a time, and one more if something changed meanwhile. */
  async refresh() {
    if (this.reading) {
      this.again = true;
      return;
    }
    this.reading = true;
    try {
      do {
        this.again = false;
        await this.read();
      } while (this.again && !this.signal.aborted);
      this.problem.replaceChildren();
    } catch (error) {
      if (!this.signal.aborted)
        this.problem.replaceChildren(
          failure(error instanceof Problem ? error : new Error(`The diagram cannot be drawn: ${error.message}`)),
        );
      if (!this.source) this.wait.hidden = true;
    } finally {
      this.reading = false;
    }
  }

  async read() {
    const { id } = this.live.job;
    const options = { signal: this.signal };
    const ended = this.live.ended;
    const first = this.source === null;
    const [source, conditions] = await Promise.all([
      first
        ? readSource(id, { boundaries: this.live.job.status === "succeeded", ...options })
        : readJson(`/v1/jobs/${id}/diagram/rows`, options),
      readConditions(id, options),
    ]);
    this.conditions = conditions;
    this.index = indexConditions(conditions);
    this.source = first ? source : withRows(this.source, source);
    await this.redraw();
    if (first) this.restoreCell();
    if (!(first && this.live.job.status === "succeeded") && conditions.length) this.readWhole(ended);
  }

  /** The source with its boundaries, beside everything else: a fit takes seconds. */
  async readWhole(ended) {
    const now = performance.now();
    if (this.fitting || (!ended && now - this.wholeAt < WHOLE_EVERY)) {
      clearTimeout(this.later);
      this.later = setTimeout(() => {
        if (!this.signal.aborted) this.readWhole(this.live.ended);
      }, 2000);
      return;
    }
    this.fitting = true;
    this.wholeAt = now;
    try {
      const source = await readSource(this.live.job.id, { signal: this.signal });
      const cells = { panels: this.source.datasets.panels, hatch: this.source.datasets.hatch };
      this.source = ended ? source : withRows(source, cells);
      await this.redraw();
    } catch (error) {
      if (!this.signal.aborted) this.problem.replaceChildren(failure(error));
    } finally {
      this.fitting = false;
    }
  }

  get panels() {
    const shown = panelsOf(this.source).filter((panel) => !this.hiddenPanels.has(panel));
    return shown.length ? shown : panelsOf(this.source);
  }

  async redraw() {
    if (!this.source || this.signal.aborted) return;
    const version = ++this.version;
    const known = colourings(this.conditions);
    const colouring = known.find(({ id }) => id === this.colour) ?? known[0];
    const scale = domain(colouring, this.conditions);
    const overlays = overlaysOf(this.source).map((one) => ({ ...one, on: this.overlays.get(one.id) ?? one.on }));
    const hidden = new Set(overlays.filter(({ on }) => !on).map(({ id }) => id));
    this.showControls(known, colouring, overlays);
    const drawn = figure(this.source, {
      panels: this.panels,
      hidden,
      colouring,
      scale,
      index: this.index,
      width: this.main.clientWidth,
      dark: isDark(),
      font: FONT,
    });
    this.chart.element.hidden = false;
    await this.chart.draw(drawn);
    if (version !== this.version) return;
    this.wait.hidden = true;
    const missing = drawn.datasets.panels.some((row) => row.layer === "missing");
    this.colouring = colouring;
    this.key.replaceChildren(legend({ colouring, scale, conditions: this.conditions, overlays, hidden, missing }));
    this.caption.textContent = captionOf(this.source);
    const words =
      `Phase diagram of ${this.live.job.name}: ${this.panels.length} panels, coloured by ${colouring.label}. ` +
      "Arrow keys move from cell to cell, Enter opens one. The Table tab has the same numbers.";
    this.chart.element.setAttribute("aria-label", words);
    document.dispatchEvent(
      new CustomEvent("drawn", {
        detail: { cells: drawn.datasets.panels.filter((row) => row.layer === "cell").length },
      }),
    );
  }

  showControls(known, colouring, overlays) {
    const offered = [known.map(({ id }) => id), overlays.map(({ id }) => id), panelsOf(this.source)];
    const text = JSON.stringify(offered);
    if (text === this.shown) return;
    this.shown = text;
    const panels = panelsOf(this.source);
    this.controls.replaceChildren(
      h(
        "div",
        { class: "tools" },
        choice(
          "Colour",
          known.map(({ id, label }) => [id, label]),
          colouring.id,
          (id) => {
            this.colour = id;
            keep("colour", id === "p_identified" ? null : id);
            this.redraw();
          },
        ),
      ),
      panels.length > 1
        ? h(
            "div",
            { class: "tools" },
            checks(
              "Panels",
              panels.map((panel) => [panel, panel, !this.hiddenPanels.has(panel)]),
              (id, on) => this.choosePanel(id, on),
            ),
          )
        : "",
      ...[
        ["Show", false],
        ["Theory", true],
      ].map(([legend, wanted]) => {
        const some = overlays.filter(({ theory }) => theory === wanted);
        const items = some.map(({ id, words, on, detail }) => [id, words, on, detail]);
        return some.length
          ? h(
              "div",
              { class: "tools" },
              checks(legend, items, (id, on) => this.chooseOverlay(id, on)),
            )
          : "";
      }),
    );
  }

  choosePanel(id, on) {
    if (on) this.hiddenPanels.delete(id);
    else this.hiddenPanels.add(id);
    keepAll("without", this.hiddenPanels);
    this.redraw();
  }

  chooseOverlay(id, on) {
    this.overlays.set(id, on);
    for (const [name, wanted] of [
      ["hide", false],
      ["show", true],
    ]) {
      keepAll(
        name,
        [...this.overlays].filter(([, is]) => is === wanted).map(([one]) => one),
      );
    }
    this.redraw();
  }

  describe(row) {
    const pairs = tooltipOf(this.source.vconcat[0])
      .filter(({ field }) => row[field] !== undefined)
      .map(({ field, title }) => [title, said(row[field])]);
    if (row.layer === "missing")
      return [
        ["panel", row.panel],
        ["sparsity S", said(row.S)],
        ["hidden dimension n_m", String(row.n_m)],
        ["state", row.P],
      ];
    const condition = conditionOf(this.index, row);
    if (condition && !["p_identified", "phase"].includes(this.colouring.id))
      pairs.push([this.colouring.label, this.colouring.say(this.colouring.read(condition), condition)]);
    return pairs;
  }

  open(row) {
    const condition = conditionOf(this.index, row);
    if (!condition) return;
    keep("cell", [row.panel, row.S, row.n_m].join("|"));
    this.frame.classList.add("open");
    this.side.hidden = false;
    this.panel ??= new CellPanel(this.side, this.live, this.signal, () => this.closeSide());
    this.panel.show(condition, this.conditions, this.colouring);
  }

  closeSide() {
    keep("cell", null);
    this.frame.classList.remove("open");
    this.side.hidden = true;
    this.chart.mark(null);
    this.chart.element.focus();
  }

  /** The cell that the address names, opened again. */
  restoreCell() {
    const [panel, sparsity, hiddenDim] = (this.wanted ?? "").split("|");
    const cell = this.chart.find({ panel, S: Number(sparsity), n_m: Number(hiddenDim) });
    if (this.wanted && cell) this.chart.open(cell);
  }
}

const said = (value) => (typeof value === "number" ? place(value) : String(value));
