// Two jobs side by side: their diagrams in the same colours, pointed at together, where they differ, and why they may.

import { readConditions, readJob, readSource } from "./api.js";
import { Chart } from "./chart.js";
import { colourings, domain } from "./colour.js";
import { conditionOf, figure, indexConditions, overlaysOf, panelsOf, tooltipOf } from "./diagram.js";
import { choice, failure, h, waiting } from "./element.js";
import { legend } from "./legend.js";
import { isDark } from "./theme.js";
import { FONT } from "./vega.js";
import { activation, fixed, interval, phase, place } from "./words.js";

const MOST = 200;

export async function showComparison(root, { arguments: ids, signal }) {
  if (ids.length !== 2) throw new Error("A comparison takes two jobs: choose them in the list.");
  root.append(waiting("Reading both jobs …"));
  const sides = await Promise.all(ids.map((id) => readSide(id, signal)));
  root.replaceChildren();
  new Comparison(root, sides, signal);
}

async function readSide(id, signal) {
  const [job, conditions] = await Promise.all([readJob(id, { signal }), readConditions(id, { signal })]);
  const source = await readSource(id, { boundaries: job.status === "succeeded", signal });
  return { job, conditions, source, index: indexConditions(conditions) };
}

class Comparison {
  constructor(root, sides, signal) {
    Object.assign(this, { sides, colour: "p_identified" });
    for (const side of sides) {
      side.chart = new Chart({
        label: `Phase diagram of ${side.job.name}`,
        describe: (row) => this.describe(side, row),
        choose: (row) => this.open(side, row),
        point: (row) => this.point(side, row),
      });
      side.place = h(
        "section",
        {},
        h("h2", {}, h("a", { href: `#/jobs/${side.job.id}` }, side.job.name)),
        side.chart.element,
      );
    }
    this.key = h("div", {});
    const all = sides.flatMap(({ conditions }) => conditions);
    const known = colourings(all);
    root.append(
      h("div", { class: "head" }, h("h1", {}, "Comparison")),
      h(
        "div",
        { class: "tools" },
        choice(
          "Colour",
          known.map(({ id, label }) => [id, label]),
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
      differences(sides),
      specs(sides),
    );
    document.addEventListener("theme", () => this.redraw(), { signal });
    const resized = new ResizeObserver(() => this.redraw());
    resized.observe(sides[0].place);
    signal.addEventListener("abort", () => {
      resized.disconnect();
      for (const { chart } of sides) chart.close();
    });
    this.redraw().catch((error) => root.prepend(failure(error)));
  }

  async redraw() {
    const all = this.sides.flatMap(({ conditions }) => conditions);
    const known = colourings(all);
    const colouring = known.find(({ id }) => id === this.colour) ?? known[0];
    const scale = domain(colouring, all);
    for (const { source, index, chart, place: section } of this.sides) {
      await chart.draw(
        figure(source, {
          panels: panelsOf(source),
          hidden: new Set(
            overlaysOf(source)
              .filter(([, , on]) => !on)
              .map(([id]) => id),
          ),
          colouring,
          scale,
          index,
          width: section.clientWidth,
          dark: isDark(),
          font: FONT,
        }),
      );
    }
    this.key.replaceChildren(
      legend({ colouring, scale, conditions: all, overlays: [], hidden: new Set(), missing: false }),
    );
  }

  describe(side, row) {
    if (row.layer === "missing") return [["state", row.P]];
    const pairs = tooltipOf(side.source)
      .slice(0, 7)
      .map(({ field, title }) => [title, String(row[field])]);
    const other = this.sides.find((one) => one !== side);
    const there = conditionOf(other.index, row);
    return [
      ...pairs,
      [`P in ${other.job.name}`, there ? interval(there.p_identified, there.p_low, there.p_high) : "not in it"],
    ];
  }

  point(side, row) {
    for (const other of this.sides) if (other !== side) other.chart.follow(row);
  }

  open(side, row) {
    location.hash = `#/jobs/${side.job.id}?cell=${encodeURIComponent([row.panel, row.S, row.n_m].join("|"))}`;
  }
}

/** Conditions that both have, by how far their probabilities are apart; apart for sure only where intervals part. */
function differences([a, b]) {
  const shared = a.conditions
    .map((row) => [
      row,
      conditionOf(b.index, {
        S: row.sparsity,
        n_m: row.hidden_dim,
        activation: activation(row),
        exponent: row.exponent,
      }),
    ])
    .filter(([, there]) => there);
  if (!shared.length) return h("p", { class: "notice" }, "The two jobs have no finished condition in common.");
  const apart = shared
    .filter(([here, there]) => here.p_identified !== there.p_identified || here.phase !== there.phase)
    .sort(
      (one, two) =>
        Math.abs(two[0].p_identified - two[1].p_identified) - Math.abs(one[0].p_identified - one[1].p_identified),
    );
  const line = ([here, there]) =>
    h(
      "tr",
      {},
      h("td", { class: "number" }, place(here.sparsity)),
      h("td", { class: "number" }, String(here.hidden_dim)),
      h("td", {}, activation(here)),
      h("td", { class: "number" }, String(here.exponent)),
      [here, there].map((row) => h("td", { class: "number" }, interval(row.p_identified, row.p_low, row.p_high))),
      h("td", { class: "number" }, fixed(there.p_identified - here.p_identified)),
      h("td", {}, here.p_low > there.p_high || there.p_low > here.p_high ? "yes" : "no"),
      h("td", {}, here.phase === there.phase ? phase(here) : `${phase(here)} → ${phase(there)}`),
    );
  const heads = [
    "S",
    "n_m",
    "activation",
    "α",
    `P, ${a.job.name}`,
    `P, ${b.job.name}`,
    "difference",
    "intervals apart",
    "phase",
  ];
  return h(
    "section",
    { class: "part" },
    h("h2", {}, "Where they differ"),
    h(
      "p",
      { class: "muted small" },
      `${apart.length} of ${shared.length} shared conditions differ in probability or phase` +
        `${apart.length > MOST ? `; the ${MOST} largest are listed` : ""}. ` +
        "With few seeds most of that is chance: trust what has its intervals apart.",
    ),
    apart.length
      ? h(
          "div",
          { class: "grid-table", tabindex: "0", role: "region", "aria-label": "Conditions that differ" },
          h(
            "table",
            {},
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                heads.map((name) => h("th", { scope: "col" }, name)),
              ),
            ),
            h("tbody", {}, apart.slice(0, MOST).map(line)),
          ),
        )
      : null,
  );
}

/** Keys of the two specs that have other values. */
function specs([a, b]) {
  const [left, right] = [flatten(a.job.spec), flatten(b.job.spec)];
  const keys = [...new Set([...left.keys(), ...right.keys()])].filter((key) => left.get(key) !== right.get(key));
  return h(
    "section",
    { class: "part" },
    h("h2", {}, "What differs in the specs"),
    keys.length
      ? h(
          "div",
          { class: "scroll", tabindex: "0", role: "region", "aria-label": "Keys that differ" },
          h(
            "table",
            {},
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                ["key", a.job.name, b.job.name].map((name) => h("th", { scope: "col" }, name)),
              ),
            ),
            h(
              "tbody",
              {},
              keys.map((key) =>
                h(
                  "tr",
                  {},
                  h("td", {}, h("code", {}, key)),
                  [left, right].map((side) => h("td", {}, h("code", {}, side.get(key) ?? "–"))),
                ),
              ),
            ),
          ),
        )
      : h("p", { class: "muted" }, "Nothing: the same spec."),
  );
}

function flatten(value, path = "", found = new Map()) {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [key, entry] of Object.entries(value)) flatten(entry, path ? `${path}.${key}` : key, found);
  } else {
    const text = JSON.stringify(value);
    found.set(path, text.length > 200 ? `${text.slice(0, 200)} …` : text);
  }
  return found;
}
