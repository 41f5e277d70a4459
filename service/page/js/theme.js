// The reader's choice of light or dark; without one, the system's.

const KEY = "saephase-theme";
const NEXT = { system: "light", light: "dark", dark: "system" };
const dark = matchMedia("(prefers-color-scheme: dark)");

const chosen = () => localStorage.getItem(KEY) ?? "system";

export const isDark = () => (chosen() === "system" ? dark.matches : chosen() === "dark");

/** Wire the button, and tell of every change by an event "theme" of the document. */
export function startTheme(button) {
  const show = () => {
    const theme = chosen();
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
    button.setAttribute("aria-label", `Theme: ${theme}. Change to ${NEXT[theme]}`);
    document.dispatchEvent(new Event("theme"));
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, NEXT[chosen()]);
    show();
  });
  dark.addEventListener("change", show);
  show();
}
