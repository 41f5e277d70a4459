// Numbers to words: sizes, times, scores, and the names of things.

const DASH = "–";

export const number = (value, digits = 3) =>
  value === null || value === undefined || !Number.isFinite(value)
    ? DASH
    : Number.isInteger(value) && Math.abs(value) < 1e6
      ? String(value)
      : Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3)
        ? value.toExponential(2)
        : String(Number(value.toPrecision(digits)));

/** A number with so many digits, zeros too, so that a column's entries are alike. */
export const significant = (value, digits = 4) =>
  value === null || value === undefined || !Number.isFinite(value) ? DASH : value.toPrecision(digits);

/** A value of an axis: as it was written, without the noise of a computed range's last digits. */
export const place = (value) => String(Number(value.toPrecision(6)));

/** A score with fixed decimals, so that columns line up. */
export const fixed = (value, decimals = 2) =>
  value === null || value === undefined || !Number.isFinite(value) ? DASH : value.toFixed(decimals);

export const count = (value) => value.toLocaleString("en");

export function bytes(value) {
  if (value < 1000) return `${value} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let power = 0;
  for (value /= 1000; value >= 999.5 && power < units.length - 1; power += 1) value /= 1000;
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ${units[power]}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return DASH;
  if (seconds < 9.5) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86400)} days`;
}

/** How long ago, as a <time> would say it. */
export function ago(iso, now = Date.now()) {
  const seconds = (now - Date.parse(iso)) / 1000;
  return seconds < 10 ? "just now" : `${duration(seconds)} ago`;
}

export const exactly = (iso) => new Date(iso).toLocaleString();

export const PHASES = {
  recovered: "recovered",
  optimiser_limited: "optimiser-limited",
  objective_limited: "objective-limited",
  not_recovered: "not recovered",
};

export const METRICS = {
  mcc: "mcc",
  recovered_fraction: "recovered fraction",
  recovered_fraction_90: "recovered fraction at .90",
  recovered_fraction_95: "recovered fraction at .95",
  gt_loss: "ground-truth loss",
  gt_loss_rescaled: "ground-truth loss, rescaled",
  support_f1: "support F1",
  sae_loss: "SAE loss",
  objective: "objective",
  loss_slope: "loss slope",
  l0: "active latents (L0)",
  dead_fraction: "dead latents",
  shrinkage: "shrinkage",
  vanished_fraction: "vanished features",
  merged_fraction: "merged latents",
  split_fraction: "split features",
  features_per_latent: "features per latent",
};

/** An activation as a spec writes it, from a row's three columns. */
export const activation = (row) => {
  const argument = row.k ?? row.l1;
  return argument === null || argument === undefined ? row.activation : `${row.activation}:${argument}`;
};

export const phase = (row) =>
  !row.phase ? "not known yet" : `${PHASES[row.phase] ?? row.phase}${row.phase_certain ? "" : " (uncertain)"}`;

export const interval = (middle, low, high) => `${fixed(middle)} [${fixed(low)}, ${fixed(high)}]`;
