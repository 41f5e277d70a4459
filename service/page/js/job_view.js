// One job: what it is, how far it is, what can be done to it, and its diagram, table, spec, files and log.

import { readJob } from "./api.js";
import { confirm } from "./dialog.js";
import { announce, failure, h, waiting } from "./element.js";
import { act, badge, progressBar, progressWords } from "./jobs_view.js";
import { follow } from "./stream.js";
import { ago, duration, exactly } from "./words.js";
import { showDiagram } from "./diagram_view.js";
import { showFiles, showLog, showSpec } from "./record_views.js";
import { showTable } from "./table_view.js";

const TABS = [
  ["", "Diagram", showDiagram],
  ["table", "Table", showTable],
  ["spec", "Spec", showSpec],
  ["files", "Files", showFiles],
  ["log", "Log", showLog],
];
const ENDED = new Set(["succeeded", "failed", "cancelled"]);

/** A job as it is now, for all who want to hear of its changes. */
export class LiveJob extends EventTarget {
  constructor(job) {
    super();
    this.job = job;
    /** Messages and warnings so far. */
    this.log = [];
  }

  get ended() {
    return ENDED.has(this.job.status);
  }

  update(change) {
    this.job = { ...this.job, ...change };
    this.dispatchEvent(new Event("change"));
  }

  /** Hear the job's events until it ends, and again when it is resumed. */
  async listen(signal) {
    await follow(this.job.id, (type, data) => this.hear(type, data), { signal, away: (is) => this.noteAway(is) });
    if (!signal.aborted) this.update(await readJob(this.job.id, { signal }));
  }

  hear(type, data) {
    if (type === "progress") {
      this.update({ progress: { ...this.job.progress, ...data } });
      return;
    }
    if (type === "end") return;
    this.log.push({
      type,
      at: data.at,
      text:
        data.text ??
        data.error ??
        (data.status ? `${data.status}${data.reason ? `: ${data.reason}` : ""}` : JSON.stringify(data)),
    });
    if (type === "status") this.update({ status: data.status });
    this.dispatchEvent(new Event("log"));
  }

  noteAway(is) {
    if (is !== this.away) {
      this.away = is;
      this.dispatchEvent(new Event("change"));
    }
  }
}

export async function showJob(root, { arguments: [id, tab = ""], choices, signal }) {
  root.append(waiting("Reading the job …"));
  const live = new LiveJob(await readJob(id, { signal }));
  document.title = `${live.job.name} · saephase`;
  signal.addEventListener("abort", () => {
    document.title = "saephase";
  });
  const body = h("div", {});
  root.replaceChildren(header(live, signal), tabs(id, tab), body);
  const [, , show] = TABS.find(([name]) => name === tab) ?? TABS[0];
  listenAgain(live, signal, body);
  await show(body, { live, choices, signal });
}

async function listenAgain(live, signal, body) {
  try {
    await live.listen(signal);
  } catch (error) {
    if (!signal.aborted) body.prepend(failure(error));
  }
}

function header(live, signal) {
  const state = h("div", { class: "job-state" });
  const actions = h("div", { class: "actions" });
  const error = h("div", {});
  let status = null;
  const show = () => {
    const { job } = live;
    state.replaceChildren(
      h(
        "div",
        {},
        badge(job.status),
        live.away ? h("span", { class: "muted small" }, "  connection lost, trying again") : null,
      ),
      h("div", { class: "muted small" }, times(job)),
      h("div", {}, progressBar(job)),
      h("div", { class: "number small" }, progressWords(job)),
    );
    if (job.status === status) return;
    if (status !== null) announce(`The job is ${job.status}`);
    status = job.status;
    actions.replaceChildren(...buttons(live, signal));
    error.replaceChildren(job.error ? failure(new Error(job.error)) : "");
  };
  live.addEventListener("change", show);
  show();
  return h(
    "div",
    {},
    h(
      "div",
      { class: "head" },
      h("div", {}, h("h1", {}, live.job.name), h("p", { class: "muted mono" }, live.job.id)),
      actions,
    ),
    state,
    error,
  );
}

function times(job) {
  const words = [
    h("time", { datetime: job.created_at, title: exactly(job.created_at) }, `submitted ${ago(job.created_at)}`),
    ` by ${job.owner}`,
  ];
  if (job.progress.seconds) words.push(` · trained for ${duration(job.progress.seconds)}`);
  return words;
}

function tabs(id, tab) {
  return h(
    "nav",
    { class: "tabs", "aria-label": "Views of the job" },
    TABS.map(([name, words]) =>
      h("a", { href: `#/jobs/${id}${name ? `/${name}` : ""}`, "aria-current": name === tab ? "page" : null }, words),
    ),
  );
}

function buttons(live, signal) {
  const { job } = live;
  const links = [
    h("a", { class: "button", href: `#/?with=${job.id}` }, "Compare with …"),
    h("a", { class: "button", href: `#/new?from=${job.id}` }, "Use as a start"),
  ];
  const button = (what, words, question, danger) =>
    h(
      "button",
      {
        type: "button",
        class: danger ? "danger" : null,
        onclick: async () => {
          if (question && !(await confirm({ ...question, danger }))) return;
          await perform(live, what, signal);
        },
      },
      words,
    );
  if (!live.ended) {
    return [
      ...links,
      button(
        "cancel",
        "Cancel",
        {
          title: "Stop this job?",
          text: "What has been trained is kept: the job can be resumed from there.",
          yes: "Stop it",
        },
        true,
      ),
    ];
  }
  const remove = button(
    "delete",
    "Delete",
    {
      title: `Delete ${job.name}?`,
      text: "The job goes with all its files. This cannot be taken back.",
      yes: "Delete it",
    },
    true,
  );
  return job.status === "succeeded" ? [...links, remove] : [...links, button("resume", "Resume"), remove];
}

async function perform(live, what, signal) {
  const wasEnded = live.ended;
  try {
    await act(live.job, what);
    if (what === "delete") {
      location.hash = "#/";
      return;
    }
    live.update(await readJob(live.job.id, { signal }));
    if (wasEnded) live.listen(signal);
  } catch (error) {
    if (!signal.aborted) announceProblem(error);
  }
}

function announceProblem(error) {
  const dialog = h(
    "dialog",
    { "aria-labelledby": "problem" },
    h("h2", { id: "problem" }, "That was refused"),
    h("p", {}, error.message),
    h("div", { class: "actions" }, h("button", { autofocus: true, onclick: () => dialog.close() }, "Close")),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
