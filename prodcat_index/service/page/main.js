// The frame around the views: which one is shown, language, colours, token, and whether the service answers.
import { go, parse } from "./address.js";
import { api, connection } from "./api.js";
import { el, message, problemMessage, toast } from "./components.js";
import { showShortcuts, useShortcuts } from "./shortcuts.js";
import { LANGUAGES, currentLanguage, setLanguage, t, translate } from "./texts.js";

const THEME = "prodcat-theme";
const VIEWS = { look: "./look_up.js", browse: "./browse.js", review: "./review.js" };
const root = document.getElementById("view");
let shown = null; // {name, view}
let turn = 0;

async function route() {
  const own = ++turn;
  const { view: name, params } = parse();
  if (!(name in VIEWS)) return showNothing(message({ title: t("no_view"), text: t("no_view_text"), action: { label: t("look_up"), run: () => go("look") } }));
  for (const tab of document.querySelectorAll("[data-view]")) {
    if (tab.dataset.view === name) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  try {
    const [view, index] = await Promise.all([import(VIEWS[name]), api.index()]);
    if (own !== turn) return;
    if (shown?.name !== name) {
      leave();
      // Of its own, so that what a view hears of after it was left is shown to nobody.
      shown = { name, view, root: el("div") };
      root.append(shown.root);
      root.className = `view ${name}`;
    }
    document.title = `${t({ look: "look_up" }[name] ?? name)} · ${index.name || t("app")}`;
    document.getElementById("brand").textContent = index.name || t("app");
    document.getElementById("owner").textContent = index.owner ? t("signed_in", { name: index.owner }) : "";
    await view.show(shown.root, params, index);
  } catch (problem) {
    if (problem.name === "AbortError" || own !== turn) return;
    if (!("status" in problem)) console.error(problem);
    showNothing(problemMessage(problem, route));
  }
}

function leave() {
  shown?.view.hide?.();
  shown = null;
  useShortcuts([]);
  root.replaceChildren();
}

function showNothing(said) {
  leave();
  root.className = "view";
  root.append(said);
}

// Language and colours.

function words() {
  document.documentElement.lang = currentLanguage();
  translate(document);
  useShortcuts([
    { key: "l", text: t("shortcut_look"), run: () => go("look") },
    { key: "b", text: t("shortcut_browse"), run: () => go("browse") },
    { key: "v", text: t("shortcut_review"), run: () => go("review") },
    { key: "?", text: t("shortcut_help"), run: showShortcuts },
    { key: "Escape", text: t("shortcut_close") },
  ], { global: true });
}

function colours(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
}

const language = document.getElementById("language");
language.append(...Object.entries(LANGUAGES).map(([name, label]) => el("option", { value: name, lang: name }, label)));
language.value = currentLanguage();
language.addEventListener("change", () => {
  setLanguage(language.value);
  words();
  leave();
  route();
});
const theme = document.getElementById("theme");
theme.value = localStorage.getItem(THEME) || "auto";
theme.addEventListener("change", () => {
  localStorage.setItem(THEME, theme.value);
  colours(theme.value);
});

// Token.

api.askToken = (refused) => new Promise((resolve) => {
  const dialog = document.getElementById("ask-token");
  const input = document.getElementById("token");
  document.getElementById("token-wrong").hidden = !refused;
  input.value = "";
  dialog.returnValue = "";
  dialog.addEventListener("close", () => {
    api.forget();
    resolve(dialog.returnValue === "use" ? input.value.trim() : "");
  }, { once: true });
  dialog.showModal();
});

// The service gone and back.

const banner = document.getElementById("banner");
connection.addEventListener("gone", () => (banner.hidden = false));
connection.addEventListener("back", () => {
  banner.hidden = true;
  toast(t("back"));
  api.forget();
  route();
});
document.getElementById("retry").addEventListener("click", () => connection.retry());
document.getElementById("help").addEventListener("click", showShortcuts);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // The address holds the state of the page.
  root.focus();
});
// What is dropped beside the drop area would replace the page.
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());

colours(theme.value);
words();
window.addEventListener("hashchange", route);
route();
