// The address to the view that it names.

import { readAddress } from "./address.js";
import { empty, failure, h } from "./element.js";
import { startTheme } from "./theme.js";
import { forgetToken, token } from "./token.js";
import { showJobs } from "./jobs_view.js";

const content = document.getElementById("content");
let leaving = new AbortController();
let shown = null;

/** Views are loaded when they are first looked at: the list is what most people come for. */
const VIEWS = {
  jobs: async (...all) => (await import("./job_view.js")).showJob(...all),
  new: async (...all) => (await import("./submit_view.js")).showForm(...all),
  compare: async (...all) => (await import("./compare_view.js")).showComparison(...all),
};

async function show() {
  const { parts, choices } = readAddress();
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  markNavigation(parts);
  const place = h("div", {});
  content.replaceChildren(place);
  const view = parts.length ? VIEWS[parts[0]] : showJobs;
  try {
    if (view) await view(place, { arguments: parts.slice(1), choices, signal });
    else
      place.append(
        empty(
          "Nothing here",
          "This address names no view of the page.",
          h("a", { class: "button", href: "#/" }, "All jobs"),
        ),
      );
  } catch (error) {
    if (!signal.aborted) place.replaceChildren(failure(error));
  }
  // After the first one, a change of view moves the focus there, as a new document would.
  const name = parts.slice(0, 2).join("/");
  if (shown !== null && shown !== name && !signal.aborted) content.focus({ preventScroll: true });
  shown = name;
}

function markNavigation(parts) {
  const here = parts[0] === "new" ? "#/new" : "#/";
  for (const link of document.querySelectorAll(".top nav a")) {
    if (link.getAttribute("href") === here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function showTokenButton() {
  document.getElementById("forget-token").hidden = !token();
}

document.getElementById("forget-token").addEventListener("click", () => {
  forgetToken();
  showTokenButton();
  show();
});
document.addEventListener("token", showTokenButton);
window.addEventListener("hashchange", show);
startTheme(document.getElementById("theme"));
showTokenButton();
show();
