// A diagram's source to a chart that can be pointed at, clicked, and walked through with the arrow keys.

import { announce, facts, h } from "./element.js";
import { placesOf, render } from "./vega.js";

const CELLS = new Set(["cell", "missing"]);
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** A place for a diagram. `describe(row)` gives [words, value] pairs, `choose(row)` is called for a click or Enter. */
export class Chart {
  constructor({ label, describe, choose, point = () => {} }) {
    this.describe = describe;
    this.choose = choose;
    this.point = point;
    this.view = null;
    this.turn = 0;
    this.cells = [];
    this.at = null;
    this.stage = h("div", { class: "chart" });
    this.cursor = h("div", { class: "ring", hidden: true });
    this.chosen = h("div", { class: "ring chosen", hidden: true });
    this.tip = h("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    this.element = h(
      "div",
      {
        class: "figure",
        tabindex: "0",
        role: "application",
        "aria-label": label,
        "aria-roledescription": "phase diagram",
        onkeydown: (event) => this.press(event),
        onblur: () => this.hover(null),
      },
      this.stage,
    );
    this.stage.addEventListener("pointermove", (event) => this.hover(this.under(event), event));
    this.stage.addEventListener("pointerleave", () => this.hover(null));
    this.stage.addEventListener("click", (event) => {
      const cell = this.under(event);
      if (cell) this.open(cell);
    });
  }

  /** Draw a source; what was drawn before stays until the new picture is whole. */
  async draw(source) {
    const canvas = h("div", {});
    const turn = ++this.turn;
    const view = await render(canvas, source);
    if (turn !== this.turn) {
      // A later picture was asked for meanwhile.
      view.finalize();
      return;
    }
    this.view?.finalize();
    this.view = view;
    // In reading order: the keyboard begins at the upper left.
    this.cells = placesOf(view, CELLS).sort((a, b) => a.y - b.y || a.x - b.x);
    this.stage.replaceChildren(canvas, this.cursor, this.chosen);
    document.body.append(this.tip);
    if (this.at) this.at = this.find(this.at.row) ?? null;
    if (this.marked) this.mark(this.marked);
    this.place(this.cursor, this.at);
  }

  /** Release the picture. */
  close() {
    this.view?.finalize();
    this.tip.remove();
  }

  /** Put the ring of the opened cell around a row's cell; null takes it away. */
  mark(row) {
    this.marked = row;
    this.place(this.chosen, row && this.find(row));
  }

  /** Put the cursor on the cell of a row, as another chart points at it. */
  follow(row) {
    this.at = row ? (this.find(row) ?? null) : null;
    this.place(this.cursor, this.at);
  }

  find(row) {
    return this.cells.find((cell) => cell.row.panel === row.panel && cell.row.S === row.S && cell.row.n_m === row.n_m);
  }

  under(event) {
    const box = this.stage.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    return (
      this.cells.find((cell) => x >= cell.x && x < cell.x + cell.width && y >= cell.y && y < cell.y + cell.height) ??
      null
    );
  }

  hover(cell, event) {
    if (cell !== this.at) {
      this.at = cell;
      this.place(this.cursor, cell);
      this.point(cell?.row ?? null);
      if (cell) this.tip.replaceChildren(facts(this.describe(cell.row)));
    }
    this.tip.hidden = !cell;
    if (cell) this.showTip(event);
  }

  showTip(event) {
    const box = this.stage.getBoundingClientRect();
    const [x, y] = event
      ? [event.clientX, event.clientY]
      : [box.left + this.at.x + this.at.width, box.top + this.at.y + this.at.height];
    const { offsetWidth: width, offsetHeight: height } = this.tip;
    this.tip.style.left = `${Math.max(8, x + 16 + width > innerWidth ? x - width - 16 : x + 16)}px`;
    this.tip.style.top = `${Math.max(8, Math.min(y + 12, innerHeight - height - 8))}px`;
  }

  press(event) {
    const step = STEPS[event.key];
    if (step) {
      event.preventDefault();
      const next = this.at ? this.beside(this.at, step) : this.cells[0];
      if (next) {
        this.at = null;
        this.hover(next);
        this.stage.scrollIntoView({ block: "nearest" });
        announce(
          this.describe(next.row)
            .map(([words, value]) => `${words}: ${value}`)
            .join(", "),
        );
      }
    } else if ((event.key === "Enter" || event.key === " ") && this.at) {
      event.preventDefault();
      this.open(this.at);
    } else if (event.key === "Escape") {
      this.hover(null);
    }
  }

  /** The nearest cell in a direction, from one panel to the next too: a detour sideways counts threefold. */
  beside(from, [right, down]) {
    const middle = (cell) => [cell.x + cell.width / 2, cell.y + cell.height / 2];
    const [x, y] = middle(from);
    let best = null;
    let least = Infinity;
    for (const cell of this.cells) {
      const [u, v] = middle(cell);
      const along = (u - x) * right + (v - y) * down;
      const across = Math.abs((u - x) * down) + Math.abs((v - y) * right);
      if (along > 0.5 && along + 3 * across < least) [best, least] = [cell, along + 3 * across];
    }
    return best;
  }

  open(cell) {
    this.mark(cell.row);
    this.choose(cell.row);
  }

  place(ring, cell) {
    ring.hidden = !cell;
    if (!cell) return;
    ring.style.left = `${cell.x}px`;
    ring.style.top = `${cell.y}px`;
    ring.style.width = `${cell.width}px`;
    ring.style.height = `${cell.height}px`;
  }
}
