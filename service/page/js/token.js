// The bearer token of this tab. It lies in sessionStorage: it ends with the tab, no other site can read it, and unlike
// a cookie no request carries it that this page did not mean to send, so that there is nothing to forge.

import { h } from "./element.js";

const KEY = "saephase-token";
let asking = null;

export const token = () => sessionStorage.getItem(KEY);

export function forgetToken() {
  sessionStorage.removeItem(KEY);
}

/** Ask for a token, once however many requests wait for it; null where the person declines. */
export function askToken(reason) {
  asking ??= prompt(reason).finally(() => {
    asking = null;
  });
  return asking;
}

function prompt(reason) {
  return new Promise((resolve) => {
    const field = h("input", { type: "password", autocomplete: "off", required: true, spellcheck: "false" });
    const dialog = h(
      "dialog",
      { "aria-labelledby": "token-title" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "token-title" }, "A token, please"),
        h("p", {}, `${reason} \`saephase token create\` makes one.`),
        h("label", {}, "Token", field),
        h(
          "div",
          { class: "actions" },
          h("button", { type: "button", onclick: () => dialog.close() }, "Not now"),
          h("button", { class: "first", value: "use" }, "Use it"),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "use" ? field.value.trim() : "";
      dialog.remove();
      if (given) sessionStorage.setItem(KEY, given);
      document.dispatchEvent(new Event("token"));
      resolve(given || null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
