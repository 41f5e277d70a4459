// What a cell's colour can say: a probability, the phase, or the median of a metric, from a row of conditions.

import { METRICS, fixed, number, phase } from "./words.js";

const SHARES = new Set([
  "mcc",
  "recovered_fraction",
  "recovered_fraction_90",
  "recovered_fraction_95",
  "support_f1",
  "dead_fraction",
  "vanished_fraction",
  "merged_fraction",
  "split_fraction",
]);

/** Fills of phases: pale, so that the dark glyphs stand out on them, and apart for every colour vision. */
export const PHASE_FILLS = {
  recovered: "#7fb3e0",
  optimiser_limited: "#f2cf7e",
  objective_limited: "#c7b9c9",
  not_recovered: "#c7b9c9",
};

const PROBABILITIES = [
  { id: "p_identified", label: "P(identified)", low: "p_low", high: "p_high" },
  { id: "p_identifiable", label: "P(identifiable)", low: "p_identifiable_low", high: "p_identifiable_high" },
].map((entry) => ({ ...entry, kind: "share", read: (row) => row[entry.id], say: (value) => fixed(value) }));

const PHASE = { id: "phase", label: "phase", kind: "phase", read: (row) => row.phase, say: (_, row) => phase(row) };

/** The colourings that these conditions have values for. */
export function colourings(conditions) {
  const present = (id) => conditions.some((row) => row[id] !== null && row[id] !== undefined);
  const metrics = Object.keys(METRICS).flatMap((metric) =>
    ["random", "truth"].map((start) => ({
      id: `${metric}_${start}`,
      label: `${METRICS[metric]}, ${start} start`,
      kind: SHARES.has(metric) ? "share" : "amount",
      metric,
      start,
      read: (row) => row[`${metric}_${start}`],
      say: (value) => number(value),
    })),
  );
  return [PROBABILITIES[0], ...[PROBABILITIES[1], PHASE, ...metrics].filter(({ id }) => present(id))];
}

/** Ends of the colour scale: 0 to 1 for shares, so that no picture flatters; else what the rows span. */
export function domain(colouring, conditions) {
  if (colouring.kind === "share") return [0, 1];
  const values = conditions.map(colouring.read).filter((value) => Number.isFinite(value));
  const low = Math.min(...values);
  const high = Math.max(...values);
  return low < high ? [low, high] : [low - Math.abs(low || 1) / 2, high + Math.abs(high || 1) / 2];
}
