// A slider for each part of the similarity, and the switch between what finds products and what votes.
import { debounce, el, icon } from "./components.js";
import { number, t } from "./texts.js";

// What is fitted to the categories; it counts in the vote alone.
const FITTED = { learned: "part_learned", scores: "part_scores" };
const FIELDS = { title: "field_title", description: "field_description", image: "field_image" };

// "title", "learned", "attributes" in words.
export const partName = (part) => (part in FIELDS ? t(FIELDS[part]) : part in FITTED ? t(FITTED[part]) : part);

// The parts that have a slider: [{name, blocks: {block: default weight}, weight, colour}].
export function partsOf(index, by) {
  const given = index.weights[by];
  const shown = index.modalities.map(({ name, blocks }) => [name, blocks]);
  if (by === "vote") shown.push(...Object.keys(FITTED).filter((name) => name in given).map((name) => [name, [name]]));
  return shown.map(([name, names], place) => {
    const blocks = Object.fromEntries(names.map((block) => [block, given[block] ?? 0]));
    return { name, blocks, weight: sum(Object.values(blocks)), colour: `var(--part-${(place % 6) + 1})` };
  });
}

// Weights of parts as the parameter of a request; "" where they are the index's own.
export function asParameter(parts, weights) {
  if (parts.every(({ name, weight }) => Math.abs(weights[name] - weight) < 1e-9)) return "";
  const blocks = parts.flatMap(({ name, blocks, weight }) =>
    Object.entries(blocks).map(([block, own]) => [block, weights[name] * (weight ? own / weight : 1 / Object.keys(blocks).length)]));
  return blocks.filter(([, weight]) => weight > 0).map(([block, weight]) => `${block}=${round(weight)}`).join(",");
}

// `present(name)` tells whether the listing has a part. `changed(weights, name)` is called while a slider moves, and
// `switched(by)` on the other order.
export function weightSliders({ changed, switched }) {
  const element = el("details", { class: "panel weights", open: true });
  let rows = [];
  let weights = {};
  const changedSoon = debounce((name) => changed({ ...weights }, name), 60);

  function shares(present) {
    const total = sum(rows.map(({ part }) => (present(part.name) ? weights[part.name] : 0)));
    for (const { part, input, share, row } of rows) {
      const has = present(part.name);
      const text = has ? number(total ? weights[part.name] / total : 0, "percent") : "–";
      share.textContent = text;
      input.disabled = !has;
      input.style.setProperty("--at", input.value);
      row.title = has ? "" : t("weight_unused", { name: partName(part.name) });
      input.setAttribute("aria-valuetext", has ? text : row.title);
    }
    element.querySelector(".all-zero").hidden = total > 0;
  }

  function draw({ by, parts, weights: given, present }) {
    weights = { ...given };
    const slider = (part) => {
      const id = `weight-${part.name}`;
      const input = el("input", { id, type: "range", min: 0, max: 1, step: 0.01, "--part": part.colour });
      const share = el("output", { for: id });
      input.value = weights[part.name];
      input.addEventListener("input", () => {
        weights[part.name] = Number(input.value);
        shares(present);
        changedSoon(part.name);
      });
      const row = el("div", { class: "weight", "--part": part.colour },
        el("label", { for: id }, el("span", { class: "dot", "aria-hidden": "true" }), partName(part.name)), share, input);
      return { part, input, share, row };
    };
    rows = parts.map(slider);
    const choice = (name) => {
      const radio = el("input", { type: "radio", name: "by", value: name, checked: by === name });
      radio.addEventListener("change", () => switched(name));
      return el("label", {}, radio, el("span", {}, t(name === "vote" ? "by_vote" : "by_search")));
    };
    element.replaceChildren(
      el("summary", {}, el("h2", {}, t("weights")), icon("chevron")),
      el("fieldset", { class: "switch" }, el("legend", { class: "unseen" }, t("by")), choice("search"), choice("vote")),
      el("p", { class: "hint" }, t(by === "vote" ? "weights_vote" : "weights_search")),
      ...rows.map(({ row }) => row),
      el("p", { class: "wrong all-zero", hidden: true }, t("all_zero")),
      el("button", { type: "button", class: "button plain small", onclick: () => changed(null) }, icon("reset"), t("reset_weights")));
    shares(present);
  }

  return {
    element, draw, shares,
    // The same sliders at other places, so that one that is being moved keeps the pointer.
    set(given) {
      weights = { ...given };
      for (const { part, input } of rows) if (Number(input.value) !== weights[part.name]) input.value = weights[part.name];
    },
  };
}

const sum = (values) => values.reduce((total, value) => total + value, 0);
export const round = (value) => Number(value.toFixed(4));
