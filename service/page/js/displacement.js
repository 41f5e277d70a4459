// How far boundaries lie from each other, as the service tells it, to small charts and to words. Pure.

import { frame, look } from "./curves.js";
import { place } from "./words.js";

const UNITS = { hidden_dim: "octaves of n_m", sparsity: "decades of density" };
const NAMES = { hidden_dim: "hidden dimension n_m", sparsity: "sparsity S" };

/** Rows of a displacement by boundary and direction: [{panel, boundary, x_axis, unit, rows}], in the rows' order. */
export function boundariesOf(displacement) {
  const found = new Map();
  for (const row of displacement) {
    const argument = row.k ?? row.l1;
    const panel = `${row.activation}${argument === null ? "" : `:${argument}`}, α = ${row.exponent}`;
    const key = [panel, row.boundary, row.x_axis].join("|");
    if (!found.has(key))
      found.set(key, { panel, boundary: row.boundary, x_axis: row.x_axis, unit: UNITS[row.y_axis], rows: [] });
    found.get(key).rows.push(row);
  }
  return [...found.values()];
}

/** At how many places the band leaves out 0. */
export const apart = ({ rows }) => rows.filter((row) => row.shift_low > 0 || row.shift_high < 0).length;

/** Where along its axis a boundary is read, as one would write it. */
export const at = ({ x_axis: axis }, x) => `${axis === "hidden_dim" ? "n_m" : "S"} = ${place(Number(x.toPrecision(3)))}`;

/** A shift with its band along an axis, and a rule at 0. */
export function displacementChart({ boundary, x_axis: axis, unit, rows }, { dark, font, width }) {
  const { ink, quiet, truth } = look(dark);
  const color = boundary === "truth-start" ? truth : ink;
  const values = pieces(
    rows.map((row) => ({
      x: axis === "sparsity" ? Number((1 - row.x).toPrecision(12)) : row.x,
      shift: row.shift,
      low: row.shift_low,
      high: row.shift_high,
    })),
  );
  const x = {
    field: "x",
    type: "quantitative",
    title: NAMES[axis],
    scale: { type: "log", nice: false, padding: 6, reverse: axis === "sparsity" },
    axis: {
      grid: false,
      tickCount: 6,
      labelOverlap: "greedy",
      labelSeparation: 6,
      ...(axis === "sparsity" ? { labelExpr: "format(1 - datum.value, '.3~f')" } : { format: "~r" }),
    },
  };
  const detail = { field: "piece" };
  const y = { field: "shift", type: "quantitative", title: unit, scale: { zero: true }, axis: { tickCount: 5 } };
  return {
    ...frame(dark, font, width),
    layer: [
      {
        data: { values: [{ zero: 0 }] },
        mark: { type: "rule", color: quiet, strokeDash: [3, 3] },
        encoding: { y: { ...y, field: "zero" } },
      },
      {
        data: { values },
        mark: { type: "area", color, opacity: 0.18 },
        encoding: { x, detail, y: { ...y, field: "low" }, y2: { field: "high" } },
      },
      { data: { values }, mark: { type: "line", color, strokeWidth: 1.8 }, encoding: { x, y, detail } },
      // A boundary that both have at one place alone is no line.
      ...(rows.length === 1
        ? [
            { data: { values }, mark: { type: "point", filled: true, color }, encoding: { x, y } },
            {
              data: { values },
              mark: { type: "rule", color },
              encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" } },
            },
          ]
        : []),
    ],
  };
}

/** Places numbered by the stretch that they belong to: where a boundary is not known, no line leads across. */
function pieces(places) {
  const steps = places.slice(1).map(({ x }, i) => Math.abs(Math.log(x / places[i].x)));
  const widest = 2.5 * Math.min(...steps);
  let piece = 0;
  return places.map((value, i) => {
    if (i > 0 && steps[i - 1] > widest) piece += 1;
    return { ...value, piece };
  });
}
