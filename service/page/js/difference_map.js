// The Vega-Lite source of a comparison, the one that `saephase diff` writes, to the one that the page draws. Pure.

import { onPage } from "./facets.js";

/** What a difference map can show beside its colours: [id, words]. */
export const MAP_MARKS = [
  ["found", "significant cells"],
  ["alone", "p ≤ 0.05 alone"],
  ["one", "boundary of the first"],
  ["other", "boundary of the second"],
];

/** The names of the maps, in reading order: a panel and a statistic each. */
export const mapsOf = (source) => source.facet.sort;

/** The map to draw. `choice`: panels (names of maps), hidden (ids of marks), width, dark, font. */
export function differenceMap(source, choice) {
  const shown = new Set(choice.panels);
  const rows = source.datasets.rows
    .filter((row) => shown.has(row.facet) && !(row.layer === "curve" && choice.hidden.has(row.side)))
    .map((row) => ({ ...row, panel: row.facet, mark: choice.hidden.has(row.mark) ? null : row.mark }));
  // Both statistics of a single panel stand side by side where there is room.
  const facet = { ...source, columns: Math.max(2, source.columns) };
  // The page has a key of its own, in words that can be read aloud.
  return onPage(source, facet, { rows }, choice, (part) =>
    part?.field === "d" && part.legend ? { ...part, legend: null } : undefined,
  );
}
