// The drawing library, fetched when the first chart is drawn, and a Vega-Lite source to a view on the page.
// Expressions are interpreted, never evaluated: the page's policy forbids eval.

/** The page's own letters, in charts too. */
export const FONT = "Inter, Helvetica Neue, Arial, sans-serif";

let loading = null;

/** Fetch Vega, Vega-Lite and the interpreter, in the order in which they need each other. */
export function loadVega() {
  loading ??= (async () => {
    await script("/page/vendor/vega.min.js");
    await script("/page/vendor/vega-lite.min.js");
    const { expressionInterpreter } = await import("../vendor/vega-interpreter.js");
    return { vega: globalThis.vega, vegaLite: globalThis.vegaLite, expressionInterpreter };
  })();
  loading.catch(() => {
    loading = null;
  });
  return loading;
}

function script(place) {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = place;
    element.onload = resolve;
    element.onerror = () => reject(new Error("The drawing library cannot be loaded. Is the service running?"));
    document.head.append(element);
  });
}

/** Draw a source on a canvas: a thousand cells as SVG would make every pointer movement slow. */
export async function render(element, source) {
  const { vega, vegaLite, expressionInterpreter } = await loadVega();
  const { spec } = vegaLite.compile(source, { logger: quiet(vega) });
  const runtime = vega.parse(spec, null, { ast: true });
  const view = new vega.View(runtime, {
    expr: expressionInterpreter,
    renderer: "canvas",
    logLevel: vega.Error,
    hover: false,
  });
  view.tooltip(() => {});
  await view.initialize(element).runAsync();
  const canvas = element.querySelector("canvas");
  canvas.setAttribute("aria-hidden", "true");
  for (const name of ["role", "aria-label", "aria-roledescription"]) canvas.removeAttribute(name);
  return view;
}

/** Warnings of Vega-Lite concern whoever writes a source; the page's console is kept for what is wrong. */
function quiet(vega) {
  return vega.logger(vega.Error);
}

/** Where every mark of the named layers stands, in pixels of the element: [{row, x, y, width, height}]. */
export function placesOf(view, layers) {
  const [left, top] = view.origin();
  const found = [];
  const visit = (mark, x, y) => {
    for (const item of mark.items) {
      if (mark.marktype === "group") for (const child of item.items) visit(child, x + (item.x ?? 0), y + (item.y ?? 0));
      else if (mark.marktype === "rect" && layers.has(item.datum?.layer)) {
        found.push({ row: item.datum, x: x + item.x, y: y + item.y, width: item.width, height: item.height });
      }
    }
  };
  visit(view.scenegraph().root, left, top);
  return found;
}
