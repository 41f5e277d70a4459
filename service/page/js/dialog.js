// A question to a yes or a no.

import { h } from "./element.js";

/** Ask before something that cannot be taken back; the safe answer has the focus. */
export function confirm({ title, text, yes, danger = false }) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { "aria-labelledby": "question", "aria-describedby": "question-text" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "question" }, title),
        h("p", { id: "question-text" }, text),
        h(
          "div",
          { class: "actions" },
          h("button", { value: "no", autofocus: true }, "Keep as it is"),
          h("button", { value: "yes", class: danger ? "danger" : "first" }, yes),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
