// Type to find among thousands of labels, by the combobox pattern of the ARIA practices.
import { api } from "./api.js";
import { asShown, debounce, el } from "./components.js";
import { number, t } from "./texts.js";

let count = 0;

// load(text, signal) -> Promise of [{value, label, hint}]; choose(value, option) is called on a choice.
// Returns {element, input}. Arrow keys, Home, End, Enter, Escape and the mouse work.
export function combobox({ label, load, choose, placeholder = "" }) {
  const id = `combobox-${++count}`;
  const list = el("ul", { id: `${id}-list`, role: "listbox", class: "options", "aria-label": label, hidden: true });
  const status = el("span", { class: "unseen", role: "status" });
  const input = el("input", {
    id, type: "text", role: "combobox", autocomplete: "off", spellcheck: "false", placeholder: placeholder || null,
    "aria-expanded": "false", "aria-autocomplete": "list", "aria-controls": list.id,
  });
  let options = [];
  let active = -1;
  let asked = null;
  let picksFirst = false; // Enter came before the list of what was typed.

  function open(isOpen) {
    list.hidden = !isOpen;
    input.setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) mark(-1);
  }
  function mark(place) {
    active = place;
    [...list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === place)));
    const item = list.children[place];
    item?.scrollIntoView({ block: "nearest" });
    if (item) input.setAttribute("aria-activedescendant", item.id);
    else input.removeAttribute("aria-activedescendant");
  }
  function pick(place) {
    const option = options?.[place];
    picksFirst = false;
    if (!option) return;
    asked?.abort();
    input.value = option.label;
    open(false);
    choose(option.value, option);
  }
  async function find() {
    asked?.abort();
    const own = (asked = new AbortController());
    const text = input.value.trim();
    let found;
    try {
      found = await load(text, own.signal);
    } catch {
      return; // Aborted by the next letter, or the service is gone, which the page says by itself.
    }
    if (own.signal.aborted) return;
    options = found;
    list.replaceChildren(...options.map((option, i) =>
      el("li", { id: `${id}-${i}`, role: "option", "aria-selected": "false" },
        el("span", {}, option.label), option.hint ? el("span", { class: "hint" }, option.hint) : null)));
    status.textContent = options.length ? t("options_found", { n: options.length }) : t("nothing_found");
    status.className = options.length ? "unseen" : "hint"; // The list itself is seen.
    open(options.length > 0);
    mark(text && options.length ? 0 : -1);
    if (picksFirst) pick(0);
  }
  const findSoon = debounce(find, 80);

  input.addEventListener("input", () => {
    asked?.abort();
    options = null;
    picksFirst = false;
    mark(-1);
    findSoon();
  });
  input.addEventListener("click", () => list.hidden && find());
  input.addEventListener("blur", () => {
    picksFirst = false;
    open(false);
  });
  list.addEventListener("mousedown", (event) => event.preventDefault()); // Keeps the focus in the input.
  list.addEventListener("click", (event) => {
    const item = event.target.closest("[role=option]");
    if (item) pick([...list.children].indexOf(item));
  });
  input.addEventListener("keydown", (event) => {
    const last = (options ?? []).length - 1;
    const isOpen = !list.hidden;
    const moves = { ArrowDown: active >= last ? 0 : active + 1, ArrowUp: active <= 0 ? last : active - 1 };
    if (event.key in moves) {
      event.preventDefault();
      if (isOpen) mark(moves[event.key]);
      else find();
    } else if (event.key === "Enter" && input.value.trim() && (!options || (isOpen && active >= 0))) {
      event.preventDefault();
      if (options) pick(active);
      else picksFirst = true;
    } else if (event.key === "Escape" && (isOpen || (input.value && !input.closest("dialog")))) {
      event.stopPropagation();
      event.preventDefault();
      if (!isOpen) input.value = "";
      picksFirst = false;
      open(false);
    }
  });

  const element = el("div", { class: "combobox" },
    el("label", { for: id }, label), input, list, status);
  return { element, input };
}

// The type-ahead over all categories, by GET /categories?flat=true&q=; takes what `combobox` takes, but for `load`.
export function categoryBox(rest) {
  return combobox({
    ...rest,
    load: async (q, signal) =>
      (await api.get("categories", { flat: true, q, limit: 50 }, { signal })).map(({ category, cards }) => ({
        value: category, label: asShown(category), hint: number(cards),
      })),
  });
}
