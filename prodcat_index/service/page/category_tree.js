// A tree of thousands of categories: branches are drawn when they open, and a filter narrows it as one types.
import { asShown, el, icon, isWithin } from "./components.js";
import { number } from "./texts.js";

const MOST = 200; // Matches of a filter that are drawn.

// nodes: as from GET /categories, [{category, name, cards, cards_below (without its own), children}];
// choose(category) is called on a choice. Returns {element, select(category), filter(text) -> number of matches}.
export function categoryTree(nodes, { label, choose, sign = () => null }) {
  const all = flatten(nodes);
  const root = el("ul", { role: "tree", "aria-label": label, class: "tree" });
  let chosen = "";
  let wanted = "";

  function item(node, level, text) {
    const branch = node.children.length > 0 && !wanted;
    const line = el("span", { class: "tree-line", "--level": level },
      el("span", { class: "twist" }, branch ? icon("chevron") : null),
      el("span", { class: "tree-name" }, text),
      sign(node), el("span", { class: "tree-count" }, number(node.cards + node.cards_below)));
    return Object.assign(el("li", {
      role: "treeitem", tabindex: "-1", "data-category": node.category, "aria-level": level + 1,
      "aria-selected": String(node.category === chosen), "aria-expanded": branch ? "false" : null,
    }, line), { node, level });
  }
  function expand(element, isOpen) {
    if (!element.hasAttribute("aria-expanded")) return;
    element.setAttribute("aria-expanded", String(isOpen));
    element.querySelector(":scope > [role=group]")?.remove();
    if (!isOpen) return;
    const children = element.node.children.map((node) => item(node, element.level + 1, node.name));
    element.append(el("ul", { role: "group" }, children));
  }
  function draw() {
    if (wanted) {
      const matches = all.filter((node) => node.category.toLowerCase().includes(wanted));
      const shown = matches.slice(0, MOST).map((node) => item(node, 0, highlighted(node.category, wanted)));
      root.replaceChildren(...shown);
      tabbable();
      return matches.length;
    }
    root.replaceChildren(...nodes.map((node) => item(node, 0, node.name)));
    reveal(chosen);
    return all.length;
  }
  // Opens the branches above a category and marks it.
  function reveal(category) {
    for (const element of root.querySelectorAll("[aria-selected=true]")) element.setAttribute("aria-selected", "false");
    let items = root.children;
    for (let found; (found = [...items].find(({ node }) => isWithin(category, node.category))); ) {
      if (found.node.category === category) {
        found.setAttribute("aria-selected", "true");
        found.scrollIntoView?.({ block: "nearest" });
        break;
      }
      if (found.getAttribute("aria-expanded") === "false") expand(found, true);
      items = found.querySelector(":scope > [role=group]")?.children ?? [];
    }
    tabbable();
  }
  // One stop for the tab key; the arrow keys go on from there.
  function tabbable(element = root.querySelector("[aria-selected=true]") ?? root.querySelector("[role=treeitem]")) {
    root.querySelector("[tabindex='0']")?.setAttribute("tabindex", "-1");
    element?.setAttribute("tabindex", "0");
  }
  const focus = (element) => element && (tabbable(element), element.focus());

  root.addEventListener("click", (event) => {
    const element = event.target.closest("[role=treeitem]");
    if (!element) return;
    focus(element);
    if (event.target.closest(".twist svg")) expand(element, element.getAttribute("aria-expanded") === "false");
    else choose(element.node.category);
  });
  root.addEventListener("keydown", (event) => {
    const element = event.target.closest("[role=treeitem]");
    if (!element || event.ctrlKey || event.metaKey || event.altKey) return;
    const visible = [...root.querySelectorAll("[role=treeitem]")];
    const place = visible.indexOf(element);
    const isOpen = element.getAttribute("aria-expanded");
    const keys = {
      ArrowDown: () => focus(visible[place + 1]),
      ArrowUp: () => focus(visible[place - 1]),
      Home: () => focus(visible[0]),
      End: () => focus(visible.at(-1)),
      ArrowRight: () => (isOpen === "false" ? expand(element, true) : isOpen && focus(visible[place + 1])),
      ArrowLeft: () => (isOpen === "true" ? expand(element, false) : focus(element.parentElement.closest("[role=treeitem]"))),
      Enter: () => choose(element.node.category),
      " ": () => choose(element.node.category),
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    event.stopPropagation();
    keys[event.key]();
  });

  draw();
  return {
    element: root,
    select(category) {
      chosen = category;
      if (wanted) root.querySelectorAll("[role=treeitem]").forEach((one) => one.setAttribute("aria-selected", String(one.node.category === category)));
      else reveal(category);
    },
    filter(text) {
      wanted = text.trim().toLowerCase();
      return { found: draw(), shown: root.children.length };
    },
  };
}

export const flatten = (nodes) => nodes.flatMap((node) => [node, ...flatten(node.children)]);

function highlighted(text, wanted) {
  const start = text.toLowerCase().indexOf(wanted);
  const end = start + wanted.length;
  return el("span", {}, asShown(text.slice(0, start)), el("mark", {}, asShown(text.slice(start, end))), asShown(text.slice(end)));
}
