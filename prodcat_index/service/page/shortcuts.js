// Keys that do something in the view that is shown, and the list of them at "?".
import { el } from "./components.js";
import { t } from "./texts.js";

const OFF = "prodcat-no-shortcuts";
const everywhere = new Map();
let ofView = new Map();

// [{key: "/", text: "…", run}]: `key` is that of a KeyboardEvent. Optional: `keys: ["1", "…", "9"]` is what the list
// shows; `repeat: true` runs again while the key is held down.
// Without `text` it is left out of the list; without `run` it is only listed.
export function useShortcuts(shortcuts, { global = false } = {}) {
  if (!global) ofView = new Map();
  for (const shortcut of shortcuts) (global ? everywhere : ofView).set(shortcut.key, shortcut);
}

const TEXT = "textarea, select, [contenteditable], input:not([type=range], [type=checkbox], [type=radio], [type=file])";

// On other than Latin layouts the place of a key tells what is meant: "н" is at the place of "y".
function meant(event) {
  if (event.key.length > 1 || event.key.charCodeAt(0) < 128) return event.key;
  if (event.code === "Slash") return event.shiftKey ? "?" : "/";
  return event.code.startsWith("Key") ? event.code.slice(3).toLowerCase() : event.key;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return;
  const shortcut = find(meant(event));
  const single = event.key.length === 1;
  if (!shortcut?.run || (single && localStorage.getItem(OFF))) return;
  if (event.repeat && !shortcut.repeat) return;
  if (event.target.matches(TEXT)) return;
  if (["Enter", " "].includes(event.key) && event.target.closest("button, a, summary, input, [role=treeitem]")) return;
  event.preventDefault();
  shortcut.run(event);
});

const find = (key) => ofView.get(key) ?? everywhere.get(key);

const NAMES = { Escape: "Esc", ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", " ": "␣" };

export function showShortcuts() {
  const dialog = document.getElementById("shortcuts");
  const rows = [...ofView.values(), ...everywhere.values()].filter((shortcut) => shortcut.text);
  dialog.querySelector("dl").replaceChildren(...rows.map(({ key, keys, text }) =>
    el("div", {}, el("dt", {}, (keys ?? [key]).map((one) => el("kbd", {}, NAMES[one] ?? one))), el("dd", {}, text))));
  dialog.querySelector("h2").textContent = t("shortcuts");
  const single = dialog.querySelector("input");
  single.checked = !localStorage.getItem(OFF);
  single.onchange = () => (single.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1"));
  dialog.showModal();
}
