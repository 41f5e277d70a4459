// Two jobs' diagrams side by side, in the same colours, pointed at together.

import { readConditions, readSource } from "./api.js";
import { Chart } from "./chart.js";
import { colourings, domain } from "./colour.js";
import { conditionOf, figure, indexConditions, overlaysOf, panelsOf } from "./diagram.js";
import { choice, failure, h, waiting } from "./element.js";
import { tooltipOf } from "./facets.js";
import { legend } from "./legend.js";
import { isDark } from "./theme.js";
import { FONT } from "./vega.js";
import { interval } from "./words.js";

/** Draw both into an element; `partners` leads from a panel of the first job to the second's, where names differ. */
export async function showPair(root, jobs, partners, signal) {
  root.replaceChildren(waiting("Drawing both diagrams …"));
  try {
    const sides = await Promise.all(jobs.map((job) => readSide(job, signal)));
    root.replaceChildren();
    const there = [partners, new Map([...partners].map(([mine, theirs]) => [theirs, mine]))];
    await new Pair(root, sides, there, signal).redraw();
  } catch (error) {
    if (!signal.aborted) root.replaceChildren(failure(error));
  }
}

async function readSide(job, signal) {
  const boundaries = job.status === "succeeded";
  const [conditions, source] = await Promise.all([
    readConditions(job.id, { signal }),
    readSource(job.id, { boundaries, signal }),
  ]);
  return { job, conditions, source, index: indexConditions(conditions) };
}

class Pair {
  constructor(root, sides, there, signal) {
    Object.assign(this, { sides, there, colour: "p_identified" });
    this.all = sides.flatMap(({ conditions }) => conditions);
    this.known = colourings(this.all);
    for (const side of sides) {
      side.chart = new Chart({
        label: `Phase diagram of ${side.job.name}`,
        describe: (row) => this.describe(side, row),
        choose: (row) => {
          location.hash = `#/jobs/${side.job.id}?cell=${encodeURIComponent([row.panel, row.S, row.n_m].join("|"))}`;
        },
        point: (row) => this.other(side).chart.follow(row && this.partner(side, row)),
      });
      side.place = h("section", {}, h("h3", {}, side.job.name), side.chart.element);
    }
    this.key = h("div", {});
    root.append(
      h(
        "div",
        { class: "tools" },
        choice(
          "Colour",
          this.known.map(({ id, label }) => [id, label]),
          this.colour,
          (id) => {
            this.colour = id;
            this.redraw();
          },
        ),
      ),
      h(
        "div",
        { class: "pair" },
        sides.map((side) => side.place),
      ),
      this.key,
    );
    document.addEventListener("theme", () => this.redraw(), { signal });
    const resized = new ResizeObserver(() => this.redraw());
    resized.observe(sides[0].place);
    signal.addEventListener("abort", () => {
      resized.disconnect();
      for (const { chart } of sides) chart.close();
    });
  }

  other(side) {
    return this.sides.find((one) => one !== side);
  }

  /** The same cell of the other diagram. */
  partner(side, row) {
    const panel = this.there[this.sides.indexOf(side)].get(row.panel) ?? row.panel;
    return { panel, S: row.S, n_m: row.n_m };
  }

  async redraw() {
    const colouring = this.known.find(({ id }) => id === this.colour) ?? this.known[0];
    const scale = domain(colouring, this.all);
    for (const { source, index, chart, place } of this.sides) {
      if (!place.clientWidth) return;
      const hidden = new Set(overlaysOf(source).flatMap(({ id, on }) => (on ? [] : [id])));
      const choices = { panels: panelsOf(source), hidden, colouring, scale, index };
      await chart.draw(figure(source, { ...choices, width: place.clientWidth, dark: isDark(), font: FONT }));
    }
    this.key.replaceChildren(
      legend({ colouring, scale, conditions: this.all, overlays: [], hidden: new Set(), missing: false }),
    );
  }

  describe(side, row) {
    if (row.layer === "missing") return [["state", row.P]];
    const pairs = tooltipOf(side.source.vconcat[0])
      .slice(0, 7)
      .map(({ field, title }) => [title, String(row[field])]);
    const other = this.other(side);
    const cell = other.chart.find(this.partner(side, row));
    const there = cell && conditionOf(other.index, cell.row);
    return [
      ...pairs,
      [`P in ${other.job.name}`, there ? interval(there.p_identified, there.p_low, there.p_high) : "not in it"],
    ];
  }
}
