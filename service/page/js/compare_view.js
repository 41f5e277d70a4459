// Two jobs compared by the service: the map of their difference, how far boundaries move, and what else differs.

import { differencePath, download, readDifference, readDifferenceSource, readJob } from "./api.js";
import { keep, keepAll } from "./address.js";
import { Chart } from "./chart.js";
import { MAP_MARKS, differenceMap, mapsOf } from "./difference_map.js";
import { cells, displacements, specChanges, wholePanels } from "./difference_tables.js";
import { apart, boundariesOf, displacementChart } from "./displacement.js";
import { checks, choice, empty, facts, failure, h, waiting } from "./element.js";
import { tooltipOf } from "./facets.js";
import { badge } from "./jobs_view.js";
import { differenceLegend } from "./legend.js";
import { showPair } from "./pair_view.js";
import { isDark } from "./theme.js";
import { FONT, render } from "./vega.js";
import { place } from "./words.js";

const RUNNING = new Set(["queued", "running"]);
const FORMATS = [
  ["PNG", "png", "image/png"],
  ["SVG", "svg", "image/svg+xml"],
  ["PDF", "pdf", "application/pdf"],
  ["Vega-Lite", "vl.json", "application/vnd.vegalite.v6+json"],
  ["JSON", "json", "application/json"],
];

export async function showComparison(root, { arguments: ids, choices, signal }) {
  if (ids.length !== 2) throw new Error("A comparison takes two jobs: choose them in the list.");
  root.append(waiting("Reading both jobs …"));
  const jobs = await Promise.all(ids.map((id) => readJob(id, { signal })));
  await new Comparison(root, jobs, choices, signal).compare();
}

class Comparison {
  constructor(root, jobs, choices, signal) {
    Object.assign(this, { jobs, signal, boundary: choices.get("boundary"), wanted: choices.get("cell") });
    this.without = new Set(choices.getAll("without"));
    this.hidden = new Set(choices.getAll("hide"));
    this.body = h("div", {});
    this.partners = new Map();
    this.shifts = [];
    this.turn = 0;
    root.replaceChildren(header(jobs), this.body, this.pair());
    document.title = `${jobs[1].name} less ${jobs[0].name} · saephase`;
    document.addEventListener("theme", () => this.redraw(), { signal });
    let width = 0;
    const resized = new ResizeObserver(() => {
      if (Math.abs(this.body.clientWidth - width) <= 4) return;
      width = this.body.clientWidth;
      this.redraw();
    });
    resized.observe(this.body);
    signal.addEventListener("abort", () => {
      document.title = "saephase";
      resized.disconnect();
      this.chart?.close();
      for (const view of this.shifts) view.finalize();
    });
  }

  /** Both diagrams side by side, drawn when they are asked for. */
  pair() {
    const inside = h("div", {});
    const element = h("details", { class: "part" }, h("summary", {}, "Both diagrams side by side"), inside);
    element.addEventListener("toggle", () => {
      if (element.open && !inside.children.length) showPair(inside, this.jobs, this.partners, this.signal);
    });
    return element;
  }

  async compare() {
    const { signal, body } = this;
    const ids = this.jobs.map(({ id }) => id);
    body.replaceChildren(waiting("Comparing: the boundaries of both are fitted, which may take some seconds …"));
    try {
      const found = await readDifference(...ids, { signal });
      this.source = await readDifferenceSource(...ids, { signal });
      this.found = found;
      for (const { label, other_label: other } of found.panels) this.partners.set(label, other);
      this.build();
      await this.redraw();
      this.restoreCell();
    } catch (error) {
      if (!signal.aborted) body.replaceChildren(failure(error));
    }
  }

  build() {
    const { found } = this;
    this.chart?.close();
    this.chart = null;
    const notes = found.notes.map((note) => h("p", { class: "notice" }, note));
    if (this.jobs.some(({ status }) => RUNNING.has(status))) notes.unshift(this.unfinished());
    if (!found.cells.length) {
      const title = "Nothing to compare yet";
      const words = "No condition has a finished trial in both jobs.";
      this.body.replaceChildren(...notes, empty(title, words), specChanges(found));
      return;
    }
    this.chart = new Chart({
      label:
        `Difference map: ${found.other} less ${found.one}. Arrow keys move from cell to cell, Enter opens one. ` +
        "The table of cells has the same numbers.",
      describe: (row) => this.describe(row),
      choose: (row) => this.open(row),
    });
    this.cell = h("section", { class: "opened", "aria-label": "Opened cell", hidden: true });
    this.key = h("div", {});
    this.shift = h("div", { class: "pair" });
    const boundaries = boundariesOf(found.displacement);
    this.body.replaceChildren(
      ...notes,
      this.controls(),
      this.chart.element,
      this.key,
      this.cell,
      this.downloads(),
      wholePanels(found) ?? "",
      h(
        "section",
        { class: "part" },
        h("h2", {}, "How far the boundary moves"),
        boundaries.length ? this.boundaryChoice(boundaries) : "",
        boundaries.length ? this.shift : h("p", { class: "muted" }, "No boundary P = 1/2 is in both at one place."),
        boundaries.length ? displacements(found) : "",
      ),
      cells(found),
      specChanges(found),
      h(
        "details",
        { class: "part" },
        h("summary", {}, "In sentences"),
        h(
          "ul",
          { class: "sentences" },
          found.sentences.map((words) => h("li", {}, words)),
        ),
      ),
    );
  }

  unfinished() {
    const again = h("button", { type: "button", onclick: () => this.compare() }, "Compare again");
    return h("div", { class: "notice" }, h("p", {}, "What has finished so far is compared."), again);
  }

  controls() {
    const maps = mapsOf(this.source);
    const names = [this.found.one, this.found.other];
    const marks = MAP_MARKS.map(([id, words]) => [
      id,
      ["one", "other"].includes(id) ? `boundary of ${names[id === "one" ? 0 : 1]}` : words,
      !this.hidden.has(id),
    ]);
    const toggle = (chosen, name) => (id, on) => {
      if (on) chosen.delete(id);
      else chosen.add(id);
      keepAll(name, chosen);
      this.redraw();
    };
    const panels = maps.map((map) => [map, map, !this.without.has(map)]);
    return h(
      "div",
      { class: "controls" },
      maps.length > 1 ? h("div", { class: "tools" }, checks("Maps", panels, toggle(this.without, "without"))) : "",
      h("div", { class: "tools" }, checks("Show", marks, toggle(this.hidden, "hide"))),
    );
  }

  downloads() {
    const problem = h("div", {});
    const [one, other] = this.jobs.map(({ id }) => id);
    const save = async (ending, accept) => {
      problem.replaceChildren();
      try {
        await download(differencePath(one, other), `difference-${one}-${other}.${ending}`, accept);
      } catch (error) {
        problem.replaceChildren(failure(error));
      }
    };
    const buttons = FORMATS.map(([words, ending, accept]) =>
      h("button", { type: "button", onclick: () => save(ending, accept) }, words),
    );
    return h("div", {}, h("div", { class: "tools small" }, h("span", { class: "muted" }, "Save as"), buttons), problem);
  }

  boundaryChoice(boundaries) {
    const groups = new Map();
    for (const one of boundaries) {
      const id = `${one.panel}: ${one.boundary}`;
      groups.set(id, [...(groups.get(id) ?? []), one]);
    }
    this.groups = groups;
    if (!groups.has(this.boundary)) [this.boundary] = groups.keys();
    const options = [...groups.keys()].map((id) => [id, id]);
    const pick = choice("Boundary", options, this.boundary, (id) => {
      this.boundary = id;
      keep("boundary", id);
      this.drawShift();
    });
    return h("div", { class: "tools" }, pick);
  }

  async redraw() {
    if (!this.chart || this.signal.aborted) return;
    const chosen = mapsOf(this.source).filter((map) => !this.without.has(map));
    const panels = chosen.length ? chosen : mapsOf(this.source);
    const how = { width: this.body.clientWidth, dark: isDark(), font: FONT };
    this.key.replaceChildren(differenceLegend(this.found, this.hidden));
    await this.chart.draw(differenceMap(this.source, { panels, hidden: this.hidden, ...how }));
    await this.drawShift();
  }

  /** The chosen boundary's displacement along both axes. */
  async drawShift() {
    if (!this.groups) return;
    const turn = ++this.turn;
    const made = this.groups.get(this.boundary).map((found) => ({ found, element: h("div", {}) }));
    const width = Math.max(240, Math.min(560, this.body.clientWidth / 2 - 40));
    const views = [];
    for (const { found, element } of made) {
      views.push(await render(element, displacementChart(found, { dark: isDark(), font: FONT, width })));
    }
    const old = turn === this.turn ? this.shifts : views;
    for (const view of old) view.finalize();
    if (turn !== this.turn) return;
    this.shifts = views;
    this.shift.replaceChildren(
      ...made.map(({ found, element }) => {
        const along = found.x_axis === "hidden_dim" ? "along the hidden dimension" : "along the sparsity";
        const words =
          `Displacement of the ${found.boundary} boundary of ${found.panel} ${along}, in ${found.unit}; ` +
          `its 95 % band leaves out 0 at ${apart(found)} of ${found.rows.length} places`;
        const note = found.unit.startsWith("decades") ? "Above 0: towards S = 1." : "Above 0: towards larger n_m.";
        return h(
          "div",
          {},
          h("div", { class: "small-chart", role: "img", "aria-label": words }, element),
          h("p", { class: "small muted" }, `${note} Band: 95 %.`),
        );
      }),
    );
  }

  describe(row) {
    const pairs = tooltipOf(this.source).map(({ field, title }) => [
      title,
      typeof row[field] === "number" ? place(row[field]) : String(row[field]),
    ]);
    return [["map", row.facet], ...pairs];
  }

  /** A cell's numbers under the map, with the way to its trials in either job. */
  open(row) {
    keep("cell", [row.facet, row.S, row.n_m].join("|"));
    const panel = this.found.panels.find(({ label, statistic }) => row.facet === `${label}: ${statistic}`);
    const link = (job, label) =>
      h(
        "a",
        { href: `#/jobs/${job.id}?cell=${encodeURIComponent([label, row.S, row.n_m].join("|"))}` },
        `Its trials in ${job.name}`,
      );
    const title = h("h2", { tabindex: "-1" }, `S ${place(row.S)} · n_m ${row.n_m} · ${row.facet}`);
    const close = () => {
      keep("cell", null);
      this.cell.hidden = true;
      this.chart.mark(null);
      this.chart.element.focus();
    };
    this.cell.onkeydown = (event) => {
      if (event.key === "Escape") close();
    };
    this.cell.replaceChildren(
      h("div", { class: "side-head" }, title, h("button", { type: "button", class: "quiet", onclick: close }, "Close")),
      facts(this.describe(row).slice(3)),
      h("p", { class: "links" }, link(this.jobs[0], panel.label), link(this.jobs[1], panel.other_label)),
    );
    this.cell.hidden = false;
    title.focus({ preventScroll: true });
  }

  /** The cell that the address names, opened again. */
  restoreCell() {
    const [panel, sparsity, hiddenDim] = (this.wanted ?? "").split("|");
    const cell = this.chart?.find({ panel, S: Number(sparsity), n_m: Number(hiddenDim) });
    if (cell) this.chart.open(cell);
  }
}

function header([one, other]) {
  const name = (job) =>
    h("span", {}, h("a", { href: `#/jobs/${job.id}` }, job.name), " ", h("span", { class: "small" }, badge(job.status)));
  return h(
    "div",
    { class: "head" },
    h(
      "div",
      {},
      h("h1", {}, "Comparison"),
      h("p", { class: "compared" }, name(other), h("span", { class: "muted" }, "less"), name(one)),
    ),
    h(
      "div",
      { class: "actions" },
      h("a", { class: "button", href: `#/compare/${other.id}/${one.id}` }, "The other way round"),
    ),
  );
}
