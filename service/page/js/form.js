// A JSON Schema and a document to a form that edits the document: every key that the schema has gets a field, so that
// a new key of the spec needs no new line here. What may stand in a field is the service's to say, not the form's.

import { h } from "./element.js";
import { Fields } from "./form_fields.js";

/** Keys that mean nothing over HTTP. */
const LEFT_OUT = new Set(["data.superposition.path"]);
const OPEN = new Set(["data", "grid", "training"]);

export class Form extends Fields {
  /** `changed()` is called after every edit of `spec`, which holds only what was set. */
  constructor(schema, spec, changed) {
    super(spec, changed);
    this.schema = schema;
    this.element = h("div", { class: "spec-form" });
    this.rebuild();
  }

  /** Make the fields again, for another document. */
  rebuild(spec = this.spec) {
    this.spec = spec;
    this.fields.clear();
    const { properties, required } = this.schema;
    this.element.replaceChildren(
      ...Object.entries(properties).map(([key, node]) => this.item(node, [key], required?.includes(key))),
    );
  }

  item(node, path, required) {
    if (LEFT_OUT.has(path.join("."))) return "";
    const { shape, optional } = this.resolve(node);
    if (shape.const !== undefined || shape.type === "null") return "";
    if (shape.discriminator) return this.variants(shape, path);
    if (shape.properties) return optional ? this.optionalPart(shape, path) : this.part(shape, path);
    return this.field(shape, path, required, optional);
  }

  /** A node without its references, and whether null is allowed in its place. */
  resolve(node) {
    const follow = (one) =>
      one.$ref ? { ...this.schema.$defs[one.$ref.split("/").at(-1)], ...one, $ref: undefined } : one;
    let shape = follow(node);
    let optional = false;
    if (shape.anyOf) {
      const real = shape.anyOf.map(follow).filter(({ type }) => type !== "null");
      optional = real.length < shape.anyOf.length;
      if (real.length === 1)
        shape = { ...real[0], ...shape, anyOf: undefined, description: shape.description ?? real[0].description };
      else shape = { ...shape, anyOf: real };
    }
    return { shape, optional };
  }

  part(shape, path, more = []) {
    const inner = Object.entries(shape.properties).map(([key, node]) =>
      this.item(node, [...path, key], shape.required?.includes(key)),
    );
    const name = path.at(-1);
    if (path.length > 1 || OPEN.has(name))
      return h("fieldset", { class: "part" }, h("legend", {}, name), hint(shape.description), more, inner);
    return h(
      "details",
      { class: "part", open: this.get(path) !== undefined },
      h("summary", {}, name),
      hint(shape.description),
      more,
      inner,
    );
  }

  optionalPart(shape, path) {
    const name = path.at(-1);
    const place = h("div", {});
    const box = h("input", {
      type: "checkbox",
      checked: typeof this.get(path) === "object" && this.get(path) !== null,
      onchange: () => {
        if (box.checked) this.kept.add(path.join("."));
        else this.kept.delete(path.join("."));
        this.set(path, box.checked ? starting(shape) : undefined);
        show();
      },
    });
    const wrong = h("p", { class: "wrong" });
    const show = () =>
      place.replaceChildren(
        ...(box.checked
          ? Object.entries(shape.properties).map(([key, node]) =>
              this.item(node, [...path, key], shape.required?.includes(key)),
            )
          : []),
      );
    show();
    this.fields.set(path.join("."), { input: box, wrong });
    return h(
      "details",
      { class: "part", open: box.checked },
      h("summary", {}, name),
      hint(shape.description),
      h("label", { class: "check" }, box, `use ${name}`),
      wrong,
      place,
    );
  }

  variants(shape, path) {
    const { mapping, propertyName } = shape.discriminator;
    const place = h("div", {});
    const current = () => this.get([...path, propertyName]) ?? shape.default?.[propertyName];
    const select = h(
      "select",
      {
        onchange: () => {
          this.set(path, { [propertyName]: select.value });
          show();
        },
      },
      Object.keys(mapping).map((kind) => h("option", { value: kind, selected: kind === current() }, kind)),
    );
    const show = () => {
      const { shape: one } = this.resolve({ $ref: mapping[select.value] });
      place.replaceChildren(
        hint(one.description),
        ...Object.entries(one.properties).map(([key, node]) =>
          this.item(node, [...path, key], one.required?.includes(key)),
        ),
      );
    };
    show();
    const row = this.row(path, propertyName, select, shape.description);
    return h("fieldset", { class: "part" }, h("legend", {}, path.at(-1)), row, place);
  }
}

const hint = (text) => (text ? h("p", { class: "muted small" }, text) : null);

/** The required keys of an optional part have to be written; until then the service says which. */
const starting = (shape) =>
  Object.fromEntries(
    Object.entries(shape.properties)
      .filter(([, node]) => node.default !== undefined && node.default !== null)
      .slice(0, 1)
      .map(([key, node]) => [key, node.default]),
  );
