// One key of a spec to the field that edits it, with the service's words beside it when its value cannot stand.

import { h } from "./element.js";
import { range, read, readList, readText, write } from "./form_text.js";

/** The fields of a document, by dotted key; `changed()` is called after every edit of `spec`. */
export class Fields {
  constructor(spec, changed) {
    Object.assign(this, { spec, changed, fields: new Map(), kept: new Set(), count: 0 });
  }

  /** Show the service's words at the fields that they are about; returns those about none. */
  mark(errors) {
    for (const { input, wrong } of this.fields.values()) {
      input.removeAttribute("aria-invalid");
      wrong.textContent = "";
    }
    return errors.filter(({ key, message }) => {
      const field = this.nearest(key);
      if (!field) return true;
      field.input.setAttribute("aria-invalid", "true");
      field.wrong.textContent = message;
      for (let part = field.input.closest("details"); part; part = part.parentElement.closest("details"))
        part.open = true;
      return false;
    });
  }

  nearest(key) {
    for (let path = key; path; path = path.slice(0, Math.max(0, path.lastIndexOf(".")))) {
      if (this.fields.has(path)) return this.fields.get(path);
    }
    return null;
  }

  get(path) {
    return path.reduce(
      (value, key) => (value === null || typeof value !== "object" ? undefined : value[key]),
      this.spec,
    );
  }

  set(path, value) {
    const parents = [this.spec];
    for (const key of path.slice(0, -1)) {
      const parent = parents.at(-1);
      if (parent[key] === null || typeof parent[key] !== "object") parent[key] = {};
      parents.push(parent[key]);
    }
    if (value === undefined) delete parents.at(-1)[path.at(-1)];
    else parents.at(-1)[path.at(-1)] = value;
    // A part in which nothing is set is itself not set, unless it was asked for.
    for (let i = parents.length - 1; i > 0; i -= 1) {
      const empty = !Object.keys(parents[i]).length && !this.kept.has(path.slice(0, i).join("."));
      if (empty) delete parents[i - 1][path[i - 1]];
    }
    this.changed();
  }

  field(shape, path, required, optional) {
    const name = path.at(-1);
    const words = [shape.description, range(shape)].filter(Boolean).join(" ");
    const set = (value) => this.set(path, value);
    const value = this.get(path);
    if (shape.enum) {
      const shown = value ?? shape.default;
      const select = h(
        "select",
        { onchange: () => set(select.value) },
        shape.enum.map((entry) => h("option", { value: entry, selected: entry === shown }, entry)),
      );
      return this.row(path, name, select, words);
    }
    if (shape.type === "boolean") {
      const box = h("input", {
        type: "checkbox",
        checked: value ?? shape.default ?? false,
        onchange: () => set(box.checked),
      });
      return this.row(path, name, box, words);
    }
    if (shape.type === "array" && shape.items?.enum) return this.several(shape, path, words);
    const axis = shape.anyOf?.find(({ properties }) => properties?.num);
    if (axis) return this.axis(shape, axis, path, words);
    if (shape.type === "object" || shape.items?.type === "array") {
      const area = h("textarea", {
        rows: 5,
        value: value === undefined || value === null ? "" : JSON.stringify(value),
        oninput: () => set(area.value.trim() ? read(area.value) : undefined),
      });
      return this.row(path, name, area, words);
    }
    const input = h("input", {
      type: "text",
      autocomplete: "off",
      spellcheck: "false",
      value: write(value),
      placeholder:
        shape.default === undefined || shape.default === null ? (optional ? "not set" : "") : write(shape.default),
      "aria-required": required ? "true" : null,
      oninput: () => set(readText(input.value, shape)),
    });
    return this.row(path, name, input, words);
  }

  several(shape, path, words) {
    const chosen = new Set(this.get(path) ?? shape.default ?? []);
    const boxes = shape.items.enum.map((entry) => {
      const box = h("input", {
        type: "checkbox",
        checked: chosen.has(entry),
        onchange: () => {
          if (box.checked) chosen.add(entry);
          else chosen.delete(entry);
          this.set(
            path,
            shape.items.enum.filter((one) => chosen.has(one)),
          );
        },
      });
      return h("label", { class: "check" }, box, entry);
    });
    return this.row(
      path,
      path.at(-1),
      h("div", { class: "several", role: "group", "aria-label": path.at(-1) }, boxes),
      words,
    );
  }

  /** An axis: values, or a range of them. */
  axis(shape, between, path, words) {
    const place = h("div", {});
    const show = () => {
      const value = this.get(path);
      const ranged = value !== null && typeof value === "object" && !Array.isArray(value);
      const swap = h(
        "button",
        {
          type: "button",
          class: "link small",
          onclick: () => {
            this.set(
              path,
              ranged
                ? undefined
                : {
                    start: undefined,
                    spacing:
                      path.at(-1) === "sparsity" ? "log_density" : path.at(-1) === "hidden_dim" ? "log" : "linear",
                  },
            );
            show();
          },
        },
        ranged ? "write a list instead" : "write a range instead",
      );
      const input = ranged
        ? this.rangeFields(between, path)
        : h("input", {
            type: "text",
            autocomplete: "off",
            spellcheck: "false",
            value: write(value),
            placeholder: write(shape.default),
            "aria-required": "true",
            oninput: () => this.set(path, readList(input.value)),
          });
      place.replaceChildren(this.row(path, path.at(-1), input, words, swap));
    };
    show();
    return place;
  }

  rangeFields(between, path) {
    const group = h("div", { class: "range", role: "group", "aria-label": `${path.at(-1)}, a range` });
    for (const [key, node] of Object.entries(between.properties)) {
      const at = [...path, key];
      const input = node.enum
        ? h(
            "select",
            { onchange: () => this.set(at, input.value) },
            node.enum.map((entry) =>
              h("option", { value: entry, selected: entry === (this.get(at) ?? node.default) }, entry),
            ),
          )
        : h("input", {
            type: "text",
            inputmode: "decimal",
            value: write(this.get(at)),
            oninput: () => this.set(at, readText(input.value, node)),
          });
      group.append(h("label", {}, key, input));
    }
    return group;
  }

  row(path, name, input, words, more = null) {
    this.count += 1;
    const id = `field-${this.count}`;
    const wrong = h("p", { class: "wrong", id: `${id}-wrong` });
    const said = words
      ? h("p", { class: "hint", id: `${id}-hint` }, words, more ? " " : null, more)
      : h("p", { class: "hint", id: `${id}-hint` }, more);
    input.id = id;
    input.setAttribute("aria-describedby", `${id}-hint ${id}-wrong`);
    this.fields.set(path.join("."), { input, wrong });
    const native = ["INPUT", "SELECT", "TEXTAREA"].includes(input.tagName);
    return h(
      "div",
      { class: "field" },
      native ? h("label", { for: id }, name) : h("span", { class: "label" }, name),
      input,
      said,
      wrong,
    );
  }
}
