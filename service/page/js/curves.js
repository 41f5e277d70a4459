// Trials and conditions to the Vega-Lite sources of small charts: the cosine curve, and cuts through the diagram. Pure.

const THRESHOLDS = Array.from({ length: 101 }, (_, i) => i / 100);
const HEIGHT = 170;

/** Colours of small charts. */
export const look = (dark) => ({
  ink: dark ? "#e9e9e6" : "#1b1b1a",
  quiet: dark ? "#a5a7ab" : "#5c5c57",
  line: dark ? "#2f3237" : "#e3e2dd",
  truth: dark ? "#ff86bd" : "#c00060",
});

/** What small charts share: their size, letters and axes. */
export function frame(dark, font, width) {
  const { ink, quiet, line } = look(dark);
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    background: null,
    width,
    height: HEIGHT,
    padding: { left: 0, right: 8, top: 6, bottom: 6 },
    autosize: { type: "fit", contains: "padding" },
    config: {
      font,
      view: { stroke: null },
      axis: {
        labelColor: quiet,
        titleColor: ink,
        titleFontWeight: "normal",
        gridColor: line,
        domainColor: quiet,
        tickColor: quiet,
        labelFontSize: 11,
        titleFontSize: 11,
        titlePadding: 6,
      },
    },
  };
}

const startScale = (dark) => ({ domain: ["random", "truth"], range: [look(dark).ink, look(dark).truth] });

/** The share of features at or above each cosine, one line per trial; `trials` hold feature_cosine. */
export function cosineCurve(trials, recovery, { dark, font, width }) {
  const values = trials
    .filter((trial) => trial.feature_cosine)
    .flatMap((trial) =>
      shares(trial.feature_cosine).map((share, i) => ({
        cosine: THRESHOLDS[i],
        share,
        start: trial.start,
        trial: trial.trial_id,
      })),
    );
  const { quiet } = look(dark);
  return {
    ...frame(dark, font, width),
    layer: [
      {
        data: { values: [{ at: recovery.cosine }] },
        mark: { type: "rule", strokeDash: [1, 3], color: quiet },
        encoding: { x: { datum: recovery.cosine, type: "quantitative" } },
      },
      {
        data: { values: [{ at: recovery.fraction }] },
        mark: { type: "rule", strokeDash: [1, 3], color: quiet },
        encoding: { y: { datum: recovery.fraction, type: "quantitative" } },
      },
      {
        data: { values },
        mark: { type: "line", strokeWidth: 1.4, opacity: 0.85, interpolate: "step-before" },
        encoding: {
          x: { field: "cosine", type: "quantitative", scale: { domain: [0, 1] }, title: "cosine threshold" },
          y: {
            field: "share",
            type: "quantitative",
            scale: { domain: [0, 1] },
            title: "share of features",
            axis: { tickCount: 5 },
          },
          detail: { field: "trial" },
          color: { field: "start", type: "nominal", scale: startScale(dark), legend: null },
          strokeDash: {
            field: "start",
            type: "nominal",
            scale: {
              domain: ["random", "truth"],
              range: [
                [1, 0],
                [5, 3],
              ],
            },
            legend: null,
          },
        },
      },
    ],
  };
}

/** Of each threshold, the share of cosines at or above it. */
export function shares(cosines) {
  const sorted = [...cosines].sort((a, b) => a - b);
  let below = 0;
  return THRESHOLDS.map((threshold) => {
    // A cosine is stored in single precision: one that was .9 must count at the threshold .9.
    while (below < sorted.length && sorted[below] < threshold - 1e-6) below += 1;
    return (sorted.length - below) / sorted.length;
  });
}

/** The conditions on a line through one of them along an axis, "sparsity" or "hidden_dim", in order. */
export function alongAxis(conditions, through, axis) {
  const others = ["sparsity", "hidden_dim", "activation", "k", "l1", "exponent"].filter((name) => name !== axis);
  return conditions
    .filter((row) => others.every((name) => row[name] === through[name]))
    .sort((a, b) => a[axis] - b[axis]);
}

/** A probability with its interval, or a metric with its seeds, along an axis. */
export function cut(rows, through, axis, colouring, seeds, { dark, font, width }) {
  const { ink, quiet } = look(dark);
  const place = (row) => (axis === "sparsity" ? Number((1 - row.sparsity).toPrecision(12)) : row.hidden_dim);
  const points = rows
    .map((row) => ({
      x: place(row),
      y: colouring.read(row),
      low: row[colouring.low] ?? null,
      high: row[colouring.high] ?? null,
    }))
    .filter(({ y }) => Number.isFinite(y));
  const ticks = [...new Set(points.map(({ x }) => x))];
  const x = {
    field: "x",
    type: "quantitative",
    title: axis === "sparsity" ? "sparsity S" : "hidden dimension n_m",
    scale: { type: "log", nice: false, padding: 10, reverse: axis === "sparsity" },
    axis: {
      grid: false,
      values: ticks,
      labelOverlap: "greedy",
      ...(axis === "sparsity" ? { labelExpr: "format(1 - datum.value, '.4~f')" } : { format: "d" }),
    },
  };
  const y = {
    type: "quantitative",
    title: colouring.label,
    scale: colouring.kind === "share" ? { domain: [0, 1] } : { zero: false },
    axis: { tickCount: 5, titleLimit: 160 },
  };
  const color = colouring.start === "truth" ? look(dark).truth : ink;
  const layers = [
    {
      data: { values: [{ x: place(through) }] },
      mark: { type: "rule", color: quiet, strokeDash: [3, 3] },
      encoding: { x: { ...x, field: "x" } },
    },
  ];
  if (colouring.low)
    layers.push({
      data: { values: points },
      mark: { type: "rule", color, strokeWidth: 1.4 },
      encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" } },
    });
  if (seeds.length) {
    const values = seeds
      .map((trial) => ({ x: place(trial), y: trial[colouring.metric] }))
      .filter((point) => Number.isFinite(point.y));
    layers.push({
      data: { values },
      mark: { type: "point", filled: true, size: 16, opacity: 0.45, color },
      encoding: { x, y: { ...y, field: "y" } },
    });
  }
  layers.push({
    data: { values: points },
    mark: { type: "line", color, strokeWidth: 1.4, point: { filled: true, size: 34, color } },
    encoding: { x, y: { ...y, field: "y" } },
  });
  return { ...frame(dark, font, width), layer: layers };
}
