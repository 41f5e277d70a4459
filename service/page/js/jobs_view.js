// The jobs of the service to a list that stays current: newest first, searched and filtered by the service.

import { ask, readJson } from "./api.js";
import { keep } from "./address.js";
import { announce, empty, failure, h, waiting } from "./element.js";
import { ago, count, duration, exactly } from "./words.js";

const PAGE = 50;
const REFRESH = 2500;
const STATUSES = ["queued", "running", "succeeded", "failed", "cancelled"];

export async function showJobs(root, { choices, signal }) {
  const state = {
    search: choices.get("search") ?? "",
    status: choices.get("status") ?? "",
    pages: 1,
    chosen: new Set(choices.getAll("with")),
  };
  const list = h("div", {}, waiting("Looking for jobs …"));
  const partner = state.chosen.size
    ? h("p", { class: "notice" }, "One job is chosen. Tick the one to compare it with, then press Compare two.")
    : "";
  const compare = h(
    "button",
    {
      type: "button",
      disabled: true,
      onclick: () => {
        location.hash = `#/compare/${[...state.chosen].join("/")}`;
      },
    },
    "Compare two",
  );
  root.append(
    h(
      "div",
      { class: "head" },
      h("h1", {}, "Jobs"),
      h("div", { class: "actions" }, compare, h("a", { class: "button first", href: "#/new" }, "New job")),
    ),
    partner,
    tools(state, () => {
      state.pages = 1;
      refresh();
    }),
    list,
  );

  const choose = (id, on) => {
    if (on) state.chosen.add(id);
    else state.chosen.delete(id);
    compare.disabled = state.chosen.size !== 2;
  };
  const older = h(
    "button",
    {
      type: "button",
      class: "more",
      onclick: () => {
        state.pages += 1;
        refresh();
      },
    },
    "Older jobs",
  );
  let turn = 0;
  async function refresh() {
    const mine = ++turn;
    try {
      const found = await read(state, signal);
      if (mine !== turn) return;
      list.replaceChildren(
        ...(found.jobs.length ? [table(found.jobs, state.chosen, choose), found.more ? older : ""] : [nothing(state)]),
      );
    } catch (error) {
      if (!signal.aborted && mine === turn) list.replaceChildren(failure(error));
    }
  }
  await refresh();
  const timer = setInterval(() => {
    // A checkbox or link that has the focus would lose it.
    if (!document.hidden && !list.contains(document.activeElement)) refresh();
  }, REFRESH);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function tools(state, changed) {
  let typing;
  const search = h("input", {
    type: "search",
    value: state.search,
    placeholder: "Name, owner or id",
    "aria-label": "Search jobs",
  });
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      state.search = search.value.trim();
      keep("search", state.search);
      changed();
    }, 200);
  });
  const status = h(
    "select",
    {
      "aria-label": "Status",
      onchange: () => {
        state.status = status.value;
        keep("status", status.value);
        changed();
      },
    },
    h("option", { value: "" }, "Every status"),
    STATUSES.map((name) => h("option", { value: name, selected: name === state.status }, name)),
  );
  return h("div", { class: "tools", role: "search" }, h("span", { class: "grow" }, search), status);
}

async function read(state, signal) {
  const jobs = [];
  let cursor = null;
  for (let page = 0; page < state.pages; page += 1) {
    const query = new URLSearchParams({ limit: String(PAGE) });
    if (state.search) query.set("search", state.search);
    if (state.status) query.set("status", state.status);
    if (cursor) query.set("cursor", cursor);
    const found = await readJson(`/v1/jobs?${query}`, { signal });
    jobs.push(...found.items);
    cursor = found.next_cursor;
    if (cursor === null) break;
  }
  return { jobs, more: cursor !== null };
}

function nothing(state) {
  if (state.search || state.status) return empty("No job matches", "Try another word or another status.");
  return empty(
    "No job yet",
    "A job trains sparse autoencoders over a grid and draws where they find the planted features.",
    h("a", { class: "button first", href: "#/new" }, "Make the first one"),
  );
}

function table(jobs, chosen, choose) {
  return h(
    "div",
    { class: "scroll", role: "region", "aria-label": "List of jobs", tabindex: "0" },
    h(
      "table",
      { class: "jobs" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, h("span", { class: "unseen" }, "Compare")),
          ["Job", "Status", "Trials", "Owner", "Submitted"].map((name) => h("th", { scope: "col" }, name)),
        ),
      ),
      h(
        "tbody",
        {},
        jobs.map((job) => line(job, chosen, choose)),
      ),
    ),
  );
}

function line(job, chosen, choose) {
  const box = h("input", {
    type: "checkbox",
    checked: chosen.has(job.id),
    "aria-label": `Compare ${job.name}`,
    onchange: () => choose(job.id, box.checked),
  });
  return h(
    "tr",
    {},
    h("td", {}, box),
    h(
      "td",
      { class: "name" },
      h("a", { href: `#/jobs/${job.id}` }, job.name),
      h("div", { class: "muted mono" }, job.id),
    ),
    h("td", {}, badge(job.status)),
    h("td", { class: "progress" }, progressBar(job), h("span", { class: "small muted number" }, progressWords(job))),
    h("td", {}, job.owner),
    h(
      "td",
      {},
      h("time", { datetime: job.created_at, title: exactly(job.created_at), class: "muted" }, ago(job.created_at)),
    ),
  );
}

export const badge = (status) => h("span", { class: `status ${status}` }, status);

export function progressBar(job) {
  const { trials_done: done, trials_total: total } = job.progress;
  return h("progress", { class: "bar", value: done, max: Math.max(1, total), "aria-label": `Trials of ${job.name}` });
}

export function progressWords(job) {
  const { trials_done: done, trials_total: total, trials_reused: reused, eta_seconds: eta } = job.progress;
  const words = [`${count(done)} of ${count(total)} trials`];
  if (reused) words.push(`${count(reused)} reused`);
  if (job.status === "running" && eta !== null) words.push(`${duration(eta)} left`);
  return words.join(" · ");
}

/** Ask the service to do something to a job, and say so. */
export async function act(job, what) {
  const paths = { cancel: ["POST", "/cancel"], resume: ["POST", "/resume"], delete: ["DELETE", ""] };
  const [method, path] = paths[what];
  await ask(`/v1/jobs/${job.id}${path}`, { method });
  announce({ cancel: "Asked the job to stop", resume: "The job is queued again", delete: "The job is deleted" }[what]);
}
