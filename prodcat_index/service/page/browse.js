// Browse: the tree of categories, and what is in one: counts, health, the categories below it, example cards.
import { go, link, note } from "./address.js";
import { api } from "./api.js";
import { categoryTree, flatten } from "./category_tree.js";
import { announce, cardTile, debounce, el, message, problemMessage, sentence, SEPARATOR, whereHint } from "./components.js";
import { useShortcuts } from "./shortcuts.js";
import { number, t } from "./texts.js";

const PAGE = 24;

let view = null; // The elements, while this view is shown.
let state; // {category, where, sort}: what the address says.
let nodes; // Category -> its node in the tree.
let running = null;

export async function show(root, params, index) {
  const version = `${index.name} ${index.version}`;
  if (view?.root !== root || view.version !== version) await build(root, index, version);
  if (view?.root !== root) return; // Meanwhile, the person went on.
  const sort = ["cards", "health"].includes(params.get("sort")) ? params.get("sort") : "name";
  const isSorted = state?.sort === sort && view.tree;
  state = { category: params.get("c") ?? "", where: params.get("where") ?? "", sort };
  if (!isSorted) drawTree();
  view.tree.select(state.category);
  view.sort.value = sort;
  if (view.sort.selectedIndex < 0) view.sort.value = "name"; // No health is known yet.
  if (view.where.value.trim() !== state.where) view.where.value = state.where;
  draw();
}

export function hide() {
  running?.abort();
  view = null;
}

const params = () => ({ c: state.category, where: state.where, sort: state.sort === "name" ? "" : state.sort });
const goTo = (category) => go("browse", { ...params(), c: category });
const total = (node) => node.cards + node.cards_below;
const hasHealth = (node) => node.accuracy !== undefined || node.wrong_labels !== undefined || node.duplicates !== undefined;
const tone = (accuracy) => (accuracy >= 0.9 ? "good" : accuracy >= 0.7 ? "warn" : "bad");

// The health of a category is that of all its cards, those below included.
function withHealthBelow(node) {
  if (!node.children.length) return node;
  const children = node.children.map(withHealthBelow);
  const parts = [{ ...node, cards_below: 0 }, ...children].filter(hasHealth);
  const sum = (of, among = parts) => among.reduce((done, part) => done + of(part), 0);
  const tried = parts.filter((part) => part.accuracy != null && total(part));
  const health = parts.length && {
    accuracy: tried.length ? sum((part) => part.accuracy * total(part), tried) / sum(total, tried) : undefined,
    wrong_labels: sum((part) => part.wrong_labels ?? 0),
    duplicates: sum((part) => part.duplicates ?? 0),
  };
  return { ...node, ...health, children };
}

async function build(root, index, version) {
  root.replaceChildren(message({ kind: "loading", text: t("loading") }));
  const children = await api.get("categories");
  if (!root.isConnected) return;
  const all = withHealthBelow({ category: "", name: t("all_categories"), cards: 0, cards_below: children.reduce((sum, each) => sum + total(each), 0), children });
  const roots = all.children;
  nodes = new Map(flatten(roots).map((node) => [node.category, node]));
  const filter = el("input", { id: "filter", type: "search", autocomplete: "off", spellcheck: "false", placeholder: t("filter_hint") });
  state = null;
  view = {
    root, version, index, all, roots, filter,
    found: el("p", { class: "hint", role: "status" }),
    frame: el("div", { class: "tree-frame" }),
    sort: el("select", { id: "sort" }, ["name", "cards", "health"].filter((name) => name !== "health" || [...nodes.values()].some(hasHealth)).map((name) => el("option", { value: name }, t(`sort_${name}`)))),
    where: el("input", { id: "where", type: "text", autocomplete: "off", spellcheck: "false", placeholder: whereHint(index), "aria-label": t("where") }),
    content: el("div", { class: "content" }),
  };
  filter.addEventListener("input", debounce(filterTree, 60));
  filter.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown") return;
    event.preventDefault();
    view.frame.querySelector("[tabindex='0']")?.focus();
  });
  view.sort.addEventListener("change", () => go("browse", { ...params(), sort: view.sort.value === "name" ? "" : view.sort.value }));
  view.where.addEventListener("input", debounce(() => {
    note("browse", Object.assign(params(), { where: (state.where = view.where.value.trim()) }));
    drawCards();
  }, 400));
  const side = el("section", { class: "panel side", "aria-label": t("categories_heading") },
    el("div", {}, el("label", { for: "filter" }, t("filter_categories")), filter, view.found),
    el("div", { class: "side-bar" }, el("span", { class: "hint" }, t("categories", { n: index.categories })),
      el("span", {}, el("label", { for: "sort", class: "unseen" }, t("sort")), view.sort)),
    view.frame);
  root.replaceChildren(el("h1", { class: "unseen" }, t("browse")),
    roots.length ? el("div", { class: "columns" }, side, view.content) : message({ title: t("empty_index") }));
  useShortcuts([{ key: "/", text: t("shortcut_filter"), run: () => (filter.focus(), filter.select()) }]);
}

// The tree.

function drawTree() {
  const orders = {
    name: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }),
    cards: (a, b) => total(b) - total(a),
    health: (a, b) => (a.accuracy ?? 2) - (b.accuracy ?? 2),
  };
  const sorted = (list) => [...list].sort(orders[state.sort]).map((node) => ({ ...node, children: sorted(node.children) }));
  view.tree = categoryTree(sorted(view.roots), {
    label: t("categories_heading"), choose: goTo,
    sign: (node) => (node.accuracy === undefined ? null : el("span", { class: `sign ${tone(node.accuracy)}`, title: `${t("accuracy")}: ${number(node.accuracy, "percent")}` })),
  });
  view.frame.replaceChildren(view.tree.element);
  filterTree();
}

function filterTree() {
  const { found, shown } = view.tree.filter(view.filter.value);
  const first = shown < found ? ` ${t("filter_first", { n: shown })}` : "";
  view.found.textContent = view.filter.value.trim() ? (found ? t("filter_found", { n: found }) + first : t("nothing_found")) : "";
}

// A category.

function draw() {
  const { category } = state;
  const node = category ? nodes.get(category) : view.all;
  if (!node) {
    view.content.replaceChildren(el("div", { class: "panel" }, message({ title: t("unknown_category"), text: t("unknown_category_text"), action: { label: t("all_categories"), run: () => goTo("") } })));
    return;
  }
  view.cards = el("div", {});
  view.content.replaceChildren(
    el("section", { class: "panel", "aria-labelledby": "category-title" }, crumbs(category), el("h2", { id: "category-title", class: "title" }, node.name), figures(node)),
    node.children.length ? el("section", { class: "panel" }, el("div", { class: "section-bar" }, el("h2", {}, t("within"))), children(node)) : "",
    el("section", { "aria-labelledby": "examples-title" },
      el("div", { class: "section-bar" }, el("h2", { id: "examples-title" }, t("examples")), view.where), view.cards));
  drawCards();
  announce(t("category_said", { category: node.name, n: total(node) }));
}

function crumbs(category) {
  if (!category) return null;
  const levels = category.split(SEPARATOR).slice(0, -1);
  const steps = levels.map((name, depth) => [el("span", { "aria-hidden": "true" }, "›"), el("a", { href: link("browse", { ...params(), c: levels.slice(0, depth + 1).join(SEPARATOR) }) }, name)]);
  return el("nav", { class: "crumbs", "aria-label": t("tree") }, el("a", { href: link("browse", { ...params(), c: "" }) }, t("all_categories")), ...steps);
}

function figures(node) {
  const figure = (key, value, { kind = "", help = "" } = {}) => (value === undefined ? null : el("div", { class: kind, title: help || null }, el("dt", {}, t(key)), el("dd", {}, value)));
  const count = (value) => (value === undefined ? undefined : number(value));
  return [
    el("dl", { class: "figures" },
      node.category ? null : [figure("cards_all", number(total(node))), figure("categories_heading", number(view.index.categories))],
      node.category && (node.cards || !node.children.length) ? figure("cards_here", number(node.cards)) : null,
      node.category && node.children.length ? figure("cards_below", number(total(node))) : null,
      figure("accuracy", node.accuracy === undefined ? undefined : number(node.accuracy, "percent"), { kind: tone(node.accuracy), help: t("accuracy_help") }),
      figure("wrong_labels", count(node.wrong_labels), { kind: node.wrong_labels ? "warn" : "", help: t("wrong_labels_help") }),
      figure("duplicates", count(node.duplicates), { kind: node.duplicates ? "warn" : "", help: t("duplicates_help") })),
    [...nodes.values()].some(hasHealth) ? null : el("p", { class: "hint" }, t("health_unknown")),
  ];
}

function children(node) {
  const most = Math.max(...node.children.map(total));
  const byCards = [...node.children].sort((a, b) => total(b) - total(a));
  return el("ul", { class: "children" }, byCards.slice(0, 60).map((child) => el("li", {},
    el("a", { href: link("browse", { ...params(), c: child.category }) }, el("span", {}, child.name),
      el("span", { class: "track", "aria-hidden": "true" }, el("span", { class: "fill", "--share": total(child) / most })),
      el("span", { class: "share-value" }, number(total(child)))))));
}

async function drawCards(offset = 0) {
  running?.abort();
  const own = (running = new AbortController());
  const { category, where } = state;
  const place = view.cards;
  if (!offset) place.replaceChildren(message({ kind: "loading", text: t("loading") }));
  try {
    const { cards, total: all } = await api.get("cards", { category, where, limit: PAGE, offset }, own);
    if (own.signal.aborted) return;
    if (!offset) place.replaceChildren(all ? el("ul", { class: "tiles" }) : message({ text: t(where ? "no_cards_where" : "no_cards_here") }), el("p", { class: "more" }));
    place.querySelector(".tiles")?.append(...cards.map((card) => el("li", {}, cardTile(card))));
    const rest = offset + cards.length < all;
    place.querySelector(".more").replaceChildren(rest ? el("button", { type: "button", class: "button", onclick: () => drawCards(offset + PAGE) }, t("more_cards")) : "");
  } catch (problem) {
    if (own.signal.aborted || !("status" in problem)) return;
    place.replaceChildren(where && problem.status < 500 && problem.status ? message({ kind: "error", text: sentence(problem) }) : problemMessage(problem, () => drawCards(offset)));
  }
}
