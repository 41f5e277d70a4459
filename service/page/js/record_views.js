// A job's spec, files and log.

import { download, readJson } from "./api.js";
import { announce, empty, failure, h, waiting } from "./element.js";
import { bytes, exactly } from "./words.js";

export function showSpec(root, { live }) {
  const text = JSON.stringify(live.job.spec, null, 2);
  const copy = h(
    "button",
    {
      type: "button",
      onclick: async () => {
        await navigator.clipboard.writeText(text);
        announce("The spec is copied");
        copy.textContent = "Copied";
      },
    },
    "Copy",
  );
  root.append(
    h(
      "div",
      { class: "tools" },
      navigator.clipboard ? copy : null,
      h("span", { class: "muted small" }, "With every default filled in; `saephase run` reads it as it is."),
    ),
    h("pre", { class: "source", tabindex: "0", role: "region", "aria-label": "The spec" }, text),
  );
}

export async function showFiles(root, { live, signal }) {
  const place = h("div", {}, waiting("Listing the files …"));
  root.append(place);
  const refresh = async () => {
    try {
      const { items } = await readJson(`/v1/jobs/${live.job.id}/artifacts`, { signal });
      place.replaceChildren(
        ...(items.length
          ? files(live.job, items)
          : [empty("No file yet", "Files appear when the job has ended, or was stopped with finished trials.")]),
      );
    } catch (error) {
      if (!signal.aborted) place.replaceChildren(failure(error));
    }
  };
  let status = live.job.status;
  live.addEventListener("change", () => {
    if (live.job.status !== status) refresh();
    status = live.job.status;
  });
  await refresh();
}

function files(job, items) {
  const here = `/v1/jobs/${job.id}`;
  const total = items.reduce((sum, item) => sum + item.bytes, 0);
  const line = (item) => {
    const problem = h("div", {});
    const link = h(
      "a",
      {
        href: `${here}/artifacts/${item.name}`,
        download: item.name,
        onclick: (event) => {
          event.preventDefault();
          fetchFile(link.getAttribute("href"), item.name, problem);
        },
      },
      item.name,
    );
    return h(
      "tr",
      {},
      h("td", {}, link, problem),
      h("td", { class: "number" }, bytes(item.bytes)),
      h("td", { class: "muted" }, item.media_type),
      h("td", {}, h("code", { class: "muted", title: item.sha256 }, item.sha256.slice(0, 12))),
    );
  };
  const problem = h("div", {});
  return [
    h(
      "div",
      { class: "tools" },
      h(
        "button",
        { type: "button", onclick: () => fetchFile(`${here}/artifacts.zip`, `saephase-${job.id}.zip`, problem) },
        "All as a zip",
      ),
      h("span", { class: "muted small" }, `${items.length} files, ${bytes(total)}`),
    ),
    problem,
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Files" },
      h(
        "table",
        { class: "files" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, "File"),
            h("th", { scope: "col", class: "number" }, "Size"),
            h("th", { scope: "col" }, "Type"),
            h("th", { scope: "col" }, "SHA-256"),
          ),
        ),
        h("tbody", {}, items.map(line)),
      ),
    ),
  ];
}

async function fetchFile(path, name, place) {
  place.replaceChildren();
  try {
    await download(path, name);
  } catch (error) {
    place.replaceChildren(failure(error));
  }
}

export function showLog(root, { live, signal }) {
  const list = h("ol", { class: "log", "aria-label": "Events", tabindex: "0" });
  const nothing = empty("Nothing said yet", "What the worker tells of the job appears here.");
  const show = () => {
    nothing.hidden = live.log.length > 0;
    const news = live.log.slice(list.children.length);
    list.append(
      ...news.map(({ type, at, text }) =>
        h(
          "li",
          {},
          h("time", { class: "muted number", datetime: at, title: exactly(at) }, new Date(at).toLocaleTimeString()),
          h("span", { class: type === "warning" ? "warning" : "muted" }, type),
          h("span", {}, text),
        ),
      ),
    );
  };
  live.addEventListener("log", show, { signal });
  root.append(nothing, list);
  show();
}
