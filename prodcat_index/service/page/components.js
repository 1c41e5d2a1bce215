// Small parts that all views are made of.
import { api } from "./api.js";
import { link } from "./address.js";
import { number, t } from "./texts.js";

// Categories: "Tools > Drills" is below "Tools", and is shown as "Tools › Drills".
export const SEPARATOR = " > ";
export const parentOf = (category) => category.split(SEPARATOR).slice(0, -1).join(SEPARATOR);
export const isBelow = (category, other) => category.startsWith(other + SEPARATOR);
export const isWithin = (category, other) => category === other || isBelow(category, other);
export const asShown = (category) => category.replaceAll(SEPARATOR, " › ");

// Makes an element: el("a", { class: "x", href: "#", onclick: f, "aria-label": "…" }, "text", child).
// A property that is null, undefined or false is left out; true is an attribute without a value.
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const ICONS = {
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.3 15.3 20 20",
  picture: "M4 5h16v14H4zM4 16l4.5-4.5L13 16l3-3 4 4M15.5 9.5h.01",
  close: "M6 6l12 12M18 6 6 18",
  chevron: "M9 6l6 6-6 6",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1",
  warning: "M12 4 2.5 20h19zM12 10v4.5M12 17.5h.01",
  reset: "M5 12a7 7 0 1 0 2.3-5.2L5 9M5 4.5V9h4.5",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export function debounce(run, milliseconds) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...values), milliseconds);
  };
}

// "Tools > Drills" with its last level in bold; `short` shows the last level alone, all on hover.
export function categoryName(category, { short = false } = {}) {
  if (!category) return el("span", { class: "category quiet" }, t("no_category"));
  const levels = category.split(SEPARATOR);
  const last = el("strong", {}, levels.pop());
  const before = short ? [] : levels.flatMap((level) => [el("span", { class: "level" }, level), el("span", { class: "step" }, " › ")]);
  return el("span", { class: "category", title: short ? category : null }, before, last);
}

// One row: what, a bar, and its share in per cent. `href` makes what it names a link.
export function shareBar(name, share, { href = "", tone = "" } = {}) {
  return el("div", { class: `share ${tone}` },
    el(href ? "a" : "span", { class: "share-name", href: href || null }, name),
    el("span", { class: "track", "aria-hidden": "true" }, el("span", { class: "fill", "--share": Math.max(0, Math.min(1, share)) })),
    el("span", { class: "share-value" }, number(share, "percent")));
}

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    api.pictureAt(target.dataset.path, Number(target.dataset.size)).then((address) => (target.src = address), () => target.dispatchEvent(new Event("error")));
  }
}, { rootMargin: "300px" });

// The picture of a card of the index, loaded when it comes into sight; a quiet sign where there is none.
// `card` is {id, title, image}: `image` empty or false is no picture. `path` is for one that is no card of the index.
export function cardPicture(card, { size = 256, alt = "", path = api.picturePath(card.id) } = {}) {
  const frame = el("span", { class: "picture" });
  const blank = () => frame.replaceChildren(el("span", { class: "blank", title: t("no_picture") }, icon("picture")));
  if (!card.image) {
    blank();
    return frame;
  }
  const image = el("img", { alt, "data-path": path, "data-size": size, decoding: "async" });
  image.addEventListener("error", blank);
  image.addEventListener("load", () => {
    image.classList.add("loaded");
    if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  });
  frame.append(image);
  seen.observe(image);
  return frame;
}

// A card as a tile that leads to looking it up: picture, title, category. `extra` are further elements below.
export function cardTile(card, { extra = [], size = 256 } = {}) {
  return el("a", { class: "tile", href: link("look", { id: card.id }), "data-id": card.id },
    cardPicture(card, { size }),
    el("span", { class: "tile-text" },
      el("span", { class: "tile-title", title: card.title || null }, card.title || card.id),
      el("span", { class: "tile-category" }, categoryName(card.category, { short: true })),
      extra));
}

// A sentence where there is nothing to show: {kind: "empty"|"error"|"loading", title, text, action: {label, run}}.
export function message({ kind = "empty", title = "", text = "", lang = null, action = null }) {
  return el("div", { class: `message ${kind}` },
    kind === "loading" ? el("span", { class: "spinner", "aria-hidden": "true" }) : null,
    kind === "error" ? icon("warning") : null,
    title ? el("p", { class: "message-title" }, title) : null,
    text ? el("p", { lang }, text) : null,
    action ? el("button", { type: "button", class: "button", onclick: action.run }, action.label) : null);
}

// A Problem of api.js in a sentence.
export function sentence(problem) {
  if (problem.title === "unreachable") return t("service_gone");
  const wait = problem.retryAfter ? ` ${t("retry_after", { n: problem.retryAfter })}` : "";
  return `${problem.message || t("went_wrong")}${wait}`;
}

// The same as a message with a button to try again; shown in place of what could not be loaded.
export function problemMessage(problem, retry = null) {
  return message({ kind: "error", text: sentence(problem), lang: problem.status ? "en" : null, action: retry && { label: t("try_again"), run: retry } });
}

// An example of a filter, by a column that the index has.
export const whereHint = ({ columns }) => t("where_hint", { example: columns.length ? `${columns[0]} = …` : 'category under "…"' });

// A short line at the bottom for some seconds, read out by screen readers.
export function toast(text, { seconds = 6 } = {}) {
  const close = () => line.remove();
  const line = el("div", { class: "toast" }, el("span", {}, text),
    el("button", { type: "button", class: "button plain square", "aria-label": t("close"), onclick: close }, icon("close")));
  document.getElementById("toasts").append(line);
  setTimeout(close, 1000 * seconds);
}

// Said by screen readers, shown to nobody.
export function announce(text) {
  document.getElementById("live").textContent = text;
}
