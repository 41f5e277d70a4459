// A new job: a form made from the spec's schema, checked by the service while it is filled in, with the cost beside it.

import { ask, freshKey, readJob, readJson } from "./api.js";
import { announce, facts, failure, h, waiting } from "./element.js";
import { Form } from "./form.js";
import { bytes, count, duration } from "./words.js";

const PAUSE = 300;

export async function showForm(root, { choices, signal }) {
  root.append(waiting("Reading the schema …"));
  const from = choices.get("from");
  const [schema, examples, job] = await Promise.all([
    readJson("/v1/spec-schema", { signal }),
    readJson("/page/examples.json", { signal }),
    from ? readJob(from, { signal }) : null,
  ]);
  new Submission(root, schema, examples, job?.spec ?? structuredClone(examples[0].spec), signal);
}

class Submission {
  constructor(root, schema, examples, spec, signal) {
    Object.assign(this, { signal, key: freshKey(), turn: 0 });
    this.form = new Form(schema, spec, () => this.edited());
    this.cost = h("div", { "aria-live": "polite" }, waiting("Asking for the cost …"));
    this.wrong = h("div", {});
    this.button = h(
      "button",
      { type: "button", class: "first", disabled: true, onclick: () => this.submit() },
      "Submit the job",
    );
    this.text = h("textarea", {
      rows: 18,
      spellcheck: "false",
      "aria-label": "The spec as JSON",
      oninput: () => this.typed(),
    });
    this.typo = h("p", { class: "wrong small" });
    const pick = h(
      "select",
      { "aria-label": "Example", onchange: () => this.load(structuredClone(examples[Number(pick.value)].spec)) },
      h("option", { value: "", disabled: true, selected: true }, "Start from an example"),
      examples.map(({ title }, i) => h("option", { value: String(i) }, title)),
    );
    root.replaceChildren(
      h("div", { class: "head" }, h("h1", {}, "New job"), h("div", { class: "actions" }, pick)),
      h(
        "div",
        { class: "form-view" },
        h(
          "form",
          { onsubmit: (event) => event.preventDefault() },
          this.form.element,
          h(
            "details",
            { class: "part" },
            h("summary", {}, "As JSON"),
            h("p", { class: "muted small" }, "The same spec; either side changes the other."),
            this.text,
            this.typo,
          ),
        ),
        h("aside", { class: "cost", "aria-label": "Cost" }, h("h2", {}, "Cost"), this.cost, this.wrong, this.button),
      ),
    );
    this.show();
    this.check();
  }

  load(spec) {
    this.form.rebuild(spec);
    this.show();
    this.check();
  }

  show() {
    this.text.value = JSON.stringify(this.form.spec, null, 2);
    this.typo.textContent = "";
  }

  typed() {
    try {
      const spec = JSON.parse(this.text.value);
      if (spec === null || typeof spec !== "object" || Array.isArray(spec)) throw new Error("a spec is an object");
      this.form.rebuild(spec);
      this.typo.textContent = "";
      this.edited(false);
    } catch (error) {
      this.typo.textContent = `Not JSON yet: ${error.message}`;
      this.button.disabled = true;
    }
  }

  edited(show = true) {
    if (show) this.show();
    this.key = freshKey();
    this.button.disabled = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.check(), PAUSE);
  }

  async check() {
    const turn = ++this.turn;
    try {
      const plan = await readJson("/v1/plans", { method: "POST", body: this.form.spec, signal: this.signal });
      if (turn !== this.turn) return;
      this.form.mark([]);
      this.wrong.replaceChildren();
      this.cost.replaceChildren(planFacts(plan, this.form.spec));
      this.button.disabled = false;
    } catch (error) {
      if (turn !== this.turn || this.signal.aborted) return;
      this.refused(error);
    }
  }

  refused(error) {
    this.button.disabled = true;
    const others = this.form.mark(error.errors ?? []);
    const told = (error.errors ?? []).length - others.length;
    this.cost.replaceChildren(
      h(
        "p",
        { class: "muted" },
        told
          ? `${told === 1 ? "One field needs" : `${told} fields need`} another value; it says there which.`
          : "No cost: the spec cannot be read yet.",
      ),
    );
    const rest = error.errors?.length
      ? others.map(({ key, message }) => failure(new Error(key ? `${key}: ${message}` : message)))
      : [failure(error)];
    this.wrong.replaceChildren(...rest);
  }

  async submit() {
    this.button.disabled = true;
    try {
      const answer = await ask("/v1/jobs", {
        method: "POST",
        body: this.form.spec,
        headers: { "Idempotency-Key": this.key },
        signal: this.signal,
      });
      const job = await answer.json();
      announce(`Submitted ${job.name}`);
      location.hash = `#/jobs/${job.id}`;
    } catch (error) {
      if (!this.signal.aborted) this.refused(error);
    }
  }
}

function planFacts(plan, spec) {
  // Refinement trains what its budget allows of the lattice; the cost is that of the whole budget.
  const asked = spec.refine
    ? [
        ["Trainings", `at most ${count(plan.trainings)}`],
        ["Candidates", `${count(plan.conditions)} conditions may be sampled; those near the boundary are`],
      ]
    : [
        ["Conditions", count(plan.conditions)],
        ["Trainings", count(plan.trainings)],
      ];
  const most = spec.refine ? "at most " : "";
  return facts([
    ...asked,
    ["Steps", `${most}${count(plan.steps)}`],
    ["Packs", `${count(plan.packs)}, ${count(plan.packs_at_a_time)} at a time`],
    ["Memory", `${bytes(plan.pack_bytes)} per pack`],
    ["Time", `about ${duration(plan.seconds)} on ${plan.cores} cores`],
  ]);
}
