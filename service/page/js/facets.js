// The panels of a Vega-Lite source, as the files have them, to the page's width, letters, ink and ground. Pure.

/** Pixels that axis titles, labels and the words beside the last panel take. */
const MARGIN = 102;
/** Bounds of a panel's sides in pixels, and of how much larger than in the files it is drawn where there is room. */
const LARGEST = 620;
const TALLEST = 520;
const MOST_LARGER = 1.7;
const GROUNDS = {
  light: { fill: "#f3f3f3", rule: "#b9b9b9", edge: "#888", ink: "#1b1b1a", words: "#5c5c57" },
  dark: { fill: "#24272b", rule: "#4b5058", edge: "#4b5058", ink: "#e9e9e6", words: "#a5a7ab" },
};
/** The files' colours of what is missing, and of the white edges that stand on cells. */
const RULE = "#b9b9b9";
const PAPER = "#ffffff";

/**
 * The source to draw. `choice`: panels (their names in reading order), width, dark, font. `change(part)` may give
 * another part of a panel's layers, null to leave it out, or undefined to keep it.
 */
export function onPage(source, facet, datasets, choice, change = () => undefined) {
  const ground = GROUNDS[choice.dark ? "dark" : "light"];
  const shape = fit(facet, choice.panels.length, choice.width);
  const spec = rewrite(facet.spec, { ground, change, from: facet.spec, to: shape });
  Object.assign(spec, { width: shape.width, height: shape.height });
  spec.view = { ...spec.view, fill: ground.fill, stroke: ground.edge };
  // Phases as colours and the names of lines would share one scale of edges otherwise.
  spec.resolve = { scale: { stroke: "independent" } };
  return {
    $schema: source.$schema,
    background: null,
    padding: { left: 2, right: 18, top: 4, bottom: 4 },
    config: {
      font: choice.font,
      view: { stroke: null },
      axis: { titleColor: ground.ink, labelColor: ground.ink },
      text: { color: ground.ink },
    },
    // What is hidden has no rows, so that the source's own switches can all be on.
    params: (source.params ?? []).map(({ bind, ...rest }) => (bind ? { ...rest, value: true } : rest)),
    datasets,
    data: facet.data,
    facet: {
      ...facet.facet,
      sort: choice.panels,
      header: { ...facet.facet.header, labelColor: ground.ink, labelFontWeight: 600 },
    },
    columns: shape.columns,
    spacing: facet.spacing,
    resolve: { axis: { x: choice.panels.length % shape.columns === 0 ? "shared" : "independent" } },
    spec,
  };
}

/** How many panels stand beside each other in a width, and their sides; they grow into room that is left. */
export function fit(facet, panels, width) {
  const gap = facet.spacing.column;
  const { width: w, height: h } = facet.spec;
  const room = Math.max(160, width - MARGIN);
  const most = Math.max(1, Math.min(panels, facet.columns, Math.floor((room + gap) / (w + gap))));
  // As many rows as that takes, evenly filled.
  const columns = Math.ceil(panels / Math.ceil(panels / most));
  const scale = Math.min(
    (room - (columns - 1) * gap) / columns / w,
    LARGEST / w,
    Math.max(1, TALLEST / h),
    MOST_LARGER,
  );
  // A panel that has to be narrower than in the files keeps some of its height.
  return { columns, width: Math.round(w * scale), height: Math.round(h * (scale < 1 ? (1 + scale) / 2 : scale)) };
}

/** The longest list of [field, words] that a panel's layers show when a mark is pointed at. */
export function tooltipOf(facet) {
  const layers = facet.spec.layer.filter((layer) => layer.encoding?.tooltip);
  return layers.reduce(
    (longest, { encoding: { tooltip } }) => (tooltip.length > longest.length ? tooltip : longest),
    [],
  );
}

function rewrite(value, how) {
  if (Array.isArray(value)) {
    return value.filter((entry) => how.change(entry) !== null).map((entry) => rewrite(entry, how));
  }
  if (value === null || typeof value !== "object") return value;
  const changed = how.change(value);
  if (changed !== undefined) return changed;
  const out = {};
  for (const [key, entry] of Object.entries(value)) out[key] = rewrite(entry, how);
  const { ground } = how;
  if ("labelExpr" in out)
    Object.assign(out, {
      labelColor: ground.ink,
      titleColor: ground.ink,
      labelOverlap: "greedy",
      labelSeparation: 5,
      labelFontSize: 11,
      titleFontSize: 12,
    });
  // Words beside a panel stand at its far sides, which have moved.
  for (const [axis, side] of [
    ["x", "width"],
    ["y", "height"],
  ]) {
    const at = out.encoding?.[axis]?.value;
    if (at >= how.from[side]) out.encoding[axis] = { value: at + how.to[side] - how.from[side] };
  }
  if (out.mark?.type === "text" && out.mark.color && out.mark.color !== PAPER) out.mark.color = ground.words;
  if (out.mark?.stroke === RULE) out.mark.stroke = ground.rule;
  return out;
}
