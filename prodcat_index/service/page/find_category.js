// A dialog to find a category among thousands, or to name a new one.
import { api } from "./api.js";
import { categoryBox, combobox } from "./combobox.js";
import { el, SEPARATOR } from "./components.js";
import { t } from "./texts.js";

// choose(category, isNew) is called on a choice, and closed() at the end. With `isNew`, a name that is in
// no list can be chosen, and `text` is what it begins with.
export function findCategory({ isNew = false, text = "", choose, closed }) {
  const label = t(isNew ? "review_new_title" : "review_find");
  const take = (category, option) => {
    dialog.close();
    choose(category, Boolean(option.isNew));
  };
  const box = isNew
    ? combobox({ label, placeholder: t("review_new_hint"), choose: take, load: findOrName })
    : categoryBox({ label, placeholder: t("review_find_hint"), choose: take });
  const dialog = el("dialog", { class: "review-find", "aria-label": label }, box.element,
    el("p", { class: "buttons" }, el("button", {
      type: "button", class: "button", onclick: () => dialog.close(),
      onmousedown: (event) => event.preventDefault(), // The list would close, and the button move away from the mouse.
    }, t("cancel"))));
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed();
  });
  document.body.append(dialog);
  dialog.showModal();
  box.input.value = text;
  box.input.focus();
}

// The new name first, then categories that are like it: perhaps it exists already.
async function findOrName(text, signal) {
  const name = text.split(SEPARATOR.trim()).map((level) => level.trim()).filter(Boolean).join(SEPARATOR);
  const last = name.split(SEPARATOR).pop();
  const found = last ? await api.get("categories", { flat: true, q: last, limit: 20 }, { signal }) : [];
  const options = found.map(({ category }) => ({ value: category, label: category, hint: t("review_new_like") }));
  const isNew = name && !options.some(({ value }) => value === name);
  return isNew ? [{ value: name, label: t("review_new_option", { category: name }), isNew }, ...options] : options;
}
