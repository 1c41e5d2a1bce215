// Look up: a listing, its nearest cards, and the category that they vote for.
import { go, link, note } from "./address.js";
import { api } from "./api.js";
import { announce, cardPicture, cardTile, categoryName, debounce, el, icon, message, problemMessage, sentence, toast, whereHint } from "./components.js";
import { predicted } from "./predicted.js";
import { useShortcuts } from "./shortcuts.js";
import { number, t } from "./texts.js";
import { asParameter, partName, partsOf, round, weightSliders } from "./weight_sliders.js";

const K = 24;
const MOST_K = 192;
const PRECISION = 0.95;
const pictures = new Map(); // Those that were dropped in this tab, by the name that the address has for them.

let index;
let view = null; // The elements, while this view is shown.
let state; // {title, description, id, where, picture, by, k, weights}: what the address says.
let card = null; // The card of state.id,
let missing = ""; // or why there is none.
let answered = {}; // What was asked last, and its answers.
let running = null;
let edited = ""; // The field of the last change: further changes of it are the same entry of the history.

export async function show(root, params, about) {
  index = about;
  const own = (state = read(params));
  if (view?.root !== root) build(root);
  edited = "";
  fill();
  await startFrom(own.id);
  if (view?.root !== root || state !== own) return; // Meanwhile, the person went on.
  draw();
  ask();
}

export function hide() {
  running?.abort();
  document.removeEventListener("paste", paste);
  view = null;
  answered = {};
}

function read(params) {
  const by = params.get("by") === "vote" ? "vote" : "search";
  const weights = Object.fromEntries(partsOf(index, by).map(({ name, weight }) => [name, round(weight)]));
  for (const [name, value] of params) {
    const part = name.startsWith("w.") ? name.slice(2) : "";
    if (part in weights && Number(value) >= 0) weights[part] = Math.min(1, Number(value));
  }
  const text = (name) => params.get(name) ?? "";
  const k = Math.min(MOST_K, Math.max(1, Number(params.get("k")) || K));
  return { title: text("title"), description: text("description"), id: text("id"), where: text("where"), picture: text("picture"), by, k, weights };
}

function params() {
  const { title, description, id, where, picture, by, k, weights } = state;
  const moved = partsOf(index, by).filter(({ name, weight }) => Math.abs(weights[name] - weight) > 5e-3);
  return { title, description, id, picture, where, by: by === "vote" ? by : "", k: k === K ? "" : k,
    ...Object.fromEntries(moved.map(({ name }) => [`w.${name}`, round(weights[name])])) };
}

// A change by the person: into the address, onto the screen, and asked for.
function change(field, values) {
  Object.assign(state, values);
  note("look", params(), { isNew: field !== edited });
  edited = ["picture", "by"].includes(field) ? "" : field; // These are changed at one go.
  draw();
  ask();
}

const has = {
  title: () => state.title || card?.title,
  description: () => state.description || card?.description,
  image: () => pictures.has(state.picture) || card?.image,
};
const isPresent = (part) => isEmpty() || Boolean(part in has ? has[part]() : part === "scores" || part === "learned" || card?.[part]);
const isEmpty = () => !state.title && !state.description && !state.id && !pictures.has(state.picture);

// The form.

function build(root) {
  const field = (name, input) => {
    const change_ = debounce(() => change(name, { [name]: input.value.trim() }), name === "where" ? 400 : 80);
    input.addEventListener("input", change_);
    input.addEventListener("blur", () => (edited = ""));
    return input;
  };
  const file = el("input", { type: "file", id: "picture", accept: "image/*", class: "unseen", onchange: () => (take(file.files[0]), (file.value = "")) });
  view = {
    root,
    title: field("title", el("input", { id: "title", type: "search", autocomplete: "off", enterkeyhint: "search" })),
    description: field("description", el("textarea", { id: "description", rows: 3 })),
    where: field("where", el("input", { id: "where", type: "text", autocomplete: "off", spellcheck: "false", placeholder: whereHint(index), "aria-describedby": "where-said" })),
    whereSaid: el("p", { id: "where-said", class: "hint" }),
    drop: el("div", { class: "drop" }),
    start: el("div", { class: "start-card" }),
    sliders: weightSliders({ changed: move, switched: (by) => change("by", { ...read(new URLSearchParams({ ...params(), by })), by }) }),
    results: el("div", { class: "results" }),
    lost: el("p", { class: "panel lost", role: "status", hidden: true }),
    answer: el("section", { class: "panel", "aria-label": t("category") }),
    near: el("section", { class: "near", "aria-labelledby": "near-title" }),
    empty: el("div", { class: "panel" }),
    file,
  };
  const more = el("details", { class: "more-fields", open: Boolean(state.where) },
    el("summary", {}, t("where"), icon("chevron")), el("label", { for: "where", class: "unseen" }, t("where")), view.where, view.whereSaid);
  const form = el("form", { class: "panel listing", "aria-label": t("listing"), onsubmit: (event) => event.preventDefault() },
    view.start,
    el("div", {}, el("label", { for: "title" }, t("field_title")), view.title),
    index.modalities.some(({ name }) => name === "description") ? el("div", {}, el("label", { for: "description" }, t("field_description")), view.description) : null,
    hasPictures() ? el("div", {}, el("label", { for: "picture" }, t("field_image")), view.file, view.drop) : null, more);
  view.more = more;
  root.replaceChildren(
    el("h1", { class: "unseen" }, t("look_up")),
    el("div", { class: "columns" }, el("div", { class: "asking" }, form, view.sliders.element), view.results));
  view.results.append(view.lost, view.empty, view.answer, view.near);
  if (matchMedia("(max-width: 62rem)").matches) view.sliders.element.open = false;
  document.addEventListener("paste", paste);
  for (const name of ["dragover", "dragleave", "drop"]) root.addEventListener(name, dragged);
  useShortcuts([{ key: "/", text: t("shortcut_search"), run: () => (view.title.focus(), view.title.select()) }]);
}

const hasPictures = () => index.modalities.some(({ kind }) => kind === "picture");

function fill() {
  for (const name of ["title", "description", "where"]) if (view[name].value.trim() !== state[name]) view[name].value = state[name];
  if (state.where) view.more.open = true;
}

function paste(event) {
  const [file] = event.clipboardData.files;
  if (!file || !hasPictures()) return;
  event.preventDefault();
  take(file);
}

function dragged(event) {
  if (!hasPictures() || !event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  view.drop.classList.toggle("over", event.type === "dragover");
  if (event.type === "drop") take(event.dataTransfer.files[0]);
}

function take(file) {
  if (!file) return;
  if (!file.type.startsWith("image/")) return toast(t("not_a_picture", { name: file.name }));
  const name = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
  pictures.set(name, file);
  change("picture", { picture: name });
}

function move(weights, name) {
  const own = partsOf(index, state.by);
  change(`w.${name}`, { weights: weights ?? Object.fromEntries(own.map((part) => [part.name, round(part.weight)])) });
  if (!weights) view.sliders.set(state.weights);
}

async function startFrom(id) {
  let found = id ? card : null;
  missing = "";
  if (id && card?.id !== id) {
    try {
      found = await api.get(`cards/${encodeURIComponent(id)}`);
    } catch (problem) {
      if (problem.status !== 404 || state.id !== id) throw problem;
      found = null;
      missing = sentence(problem);
      state.id = "";
    }
  }
  if (state.id === (found?.id ?? "")) card = found;
}

// The screen.

function draw() {
  const key = `${state.by} ${state.id}`;
  if (view.drawn !== key) {
    view.sliders.draw({ by: state.by, parts: partsOf(index, state.by), weights: state.weights, present: isPresent });
    view.drawn = key;
  }
  view.sliders.set(state.weights);
  view.sliders.shares(isPresent);
  drawDrop();
  view.title.placeholder = card?.title || t("title_hint");
  view.description.placeholder = card?.description ?? "";
  view.start.replaceChildren(...(card ? [
    el("p", { class: "label" }, t("starting_from")),
    el("div", { class: "start-line" }, cardPicture(card, { size: 128 }),
      el("div", {}, el("p", { class: "tile-title" }, card.title || card.id), el("a", { href: link("browse", { c: card.category }) }, categoryName(card.category))),
      el("button", { type: "button", class: "button plain square", "aria-label": t("leave_card"), title: t("leave_card"), onclick: leave }, icon("close"))),
    el("p", { class: "hint" }, t("card_in_place"))] : []));
  const lost = missing || (state.picture && !pictures.has(state.picture) ? t("picture_not_in_link") : "");
  view.lost.hidden = !lost;
  view.lost.replaceChildren(icon("warning"), el("span", {}, lost));
  view.whereSaid.textContent = index.columns.length ? t("where_columns", { columns: index.columns.slice(0, 12).join(", ") }) : "";
  view.whereSaid.classList.remove("wrong");
  const empty = isEmpty();
  view.empty.hidden = !empty;
  view.answer.hidden = view.near.hidden = empty;
  if (empty && !view.empty.firstChild) drawStart();
}

function leave() {
  go("look", { ...params(), id: "" });
}

function drawDrop() {
  const picture = pictures.get(state.picture);
  if (view.picture === picture && view.drop.firstChild) return;
  if (view.address) URL.revokeObjectURL(view.address);
  view.picture = picture;
  view.address = picture ? URL.createObjectURL(picture) : "";
  view.drop.replaceChildren(...(picture ? [
    el("img", { src: view.address, alt: t("picture_of_listing") }), el("span", { class: "file-name" }, picture.name),
    el("button", { type: "button", class: "button plain square", "aria-label": t("remove_picture"), title: t("remove_picture"), onclick: () => change("picture", { picture: "" }) }, icon("close")),
  ] : [icon("picture"), el("span", {}, t("drop"), " ", el("label", { for: "picture", class: "as-link" }, t("choose_picture")))]));
}

async function drawStart() {
  view.empty.replaceChildren(message({ title: t("start_title"), text: t("start_text") }));
  const { cards } = await api.get("cards", { limit: 60 }).catch(() => ({ cards: [] }));
  const step = Math.max(1, Math.floor(cards.length / 8));
  const some = cards.filter((_, place) => place % step === 0).slice(0, 8);
  if (view && some.length) view.empty.append(el("p", { class: "hint examples-title" }, t("start_examples")), el("div", { class: "tiles" }, some.map((each) => cardTile(each))));
}

// Requests.

function body() {
  const texts = Object.fromEntries(["id", "title", "description"].filter((name) => state[name]).map((name) => [name, state[name]]));
  const picture = pictures.get(state.picture);
  if (!picture) return texts;
  const form = new FormData();
  for (const [name, value] of Object.entries(texts)) form.append(name, value);
  form.append("image", picture);
  return form;
}

async function ask() {
  running?.abort();
  if (isEmpty()) {
    answered = {};
    view.near.replaceChildren();
    view.answer.replaceChildren();
    return;
  }
  const { by, k, where } = state;
  const weights = asParameter(partsOf(index, by), state.weights);
  if (!partsOf(index, by).some(({ name }) => isPresent(name) && state.weights[name] > 0)) return; // Said beside the sliders.
  const listing = JSON.stringify([state.title, state.description, state.id, state.picture, where]);
  const search = { k, by, where, weights };
  const predict = { explain: true, where, weights: by === "vote" ? weights : "" };
  if (index.calibrated && !predict.weights && !where) predict.precision = PRECISION;
  const searched = listing + JSON.stringify(search);
  const wanted = listing + JSON.stringify(predict);
  const own = (running = new AbortController());
  const busy = setTimeout(() => view?.results.setAttribute("aria-busy", "true"), 250);
  if (!answered.found) view.near.replaceChildren(message({ kind: "loading", text: t("loading") }));
  try {
    await Promise.all([
      answered.searched !== searched && api.post("search", search, body(), own).then((found) => own.signal.aborted || (Object.assign(answered, { searched, found }), drawNear())),
      answered.wanted !== wanted && api.post("predict", predict, body(), own).then((answer) => own.signal.aborted || (Object.assign(answered, { wanted, answer }), view.answer.replaceChildren(predicted(answer, { isCalibrated: "precision" in predict })), drawNear())),
    ]);
    if (!own.signal.aborted) say();
  } catch (problem) {
    if (own.signal.aborted || !view) return;
    if (!("status" in problem)) throw problem;
    own.abort();
    if (where && [400, 422].includes(problem.status)) {
      view.whereSaid.textContent = sentence(problem);
      view.whereSaid.classList.add("wrong");
      return;
    }
    if (!problem.status && answered.found) return; // The banner says it, and what is there stays.
    answered = {};
    view.answer.hidden = true;
    view.near.replaceChildren(problemMessage(problem, () => (draw(), ask())));
  } finally {
    clearTimeout(busy);
    if (running === own) view?.results.removeAttribute("aria-busy");
  }
}

const say = debounce(() => {
  if (!answered.found || !answered.answer) return;
  if (answered.found.version !== index.version) api.forget(); // The index was swapped: the next view asks anew.
  announce(t("results_said", { n: answered.found.neighbours.length, category: answered.answer.category || t("no_category") }));
}, 700);

// Tiles stay the same elements when they are ranked anew, so that pictures do not flicker, and glide to their places.
function drawNear() {
  const { found, answer } = answered;
  if (!found) return;
  let grid = view.near.querySelector(".tiles");
  if (!grid) {
    grid = el("ol", { class: "tiles" });
    view.near.replaceChildren(
      el("div", { class: "bar" }, el("h2", { id: "near-title" }),
        el("button", { type: "button", class: "button plain small", onclick: copyLink }, icon("link"), t("copy_link"))),
      grid, el("p", { class: "more" }));
  }
  const { neighbours } = found;
  document.getElementById("near-title").textContent = t("neighbours_of", { n: neighbours.length });
  const old = new Map([...grid.children].filter((item) => item.dataset.id).map((item) => [item.dataset.id, item]));
  const before = new Map([...old].map(([id, item]) => [id, item.getBoundingClientRect()]));
  const votes = new Map((answer?.neighbours ?? []).map((each) => [each.id, each.vote_share]));
  const items = neighbours.map((each) => {
    const item = old.get(each.id) ?? el("li", { "data-id": each.id }, cardTile(each, { extra: [el("span", { class: "near-extra" })] }));
    item.querySelector(".near-extra").replaceChildren(similarity(each), state.by === "vote" ? el("span", { class: "votes" }, votes.has(each.id) ? el("span", { class: "badge" }, t("vote_share", { value: number(votes.get(each.id), "percent") })) : "") : "");
    return item;
  });
  const focused = document.activeElement;
  grid.replaceChildren(...(items.length ? items : [el("li", { class: "none" }, message({ text: t(state.where ? "no_neighbours_where" : "no_neighbours") }))]));
  if (focused?.isConnected) focused.focus({ preventScroll: true });
  if (before.size && !matchMedia("(prefers-reduced-motion: reduce)").matches) items.forEach((item) => glide(item, before.get(item.dataset.id)));
  const canMore = neighbours.length === state.k && state.k < MOST_K;
  view.near.querySelector(".more").replaceChildren(canMore ? el("button", { type: "button", class: "button", onclick: () => change("k", { k: Math.min(MOST_K, state.k + K) }) }, t("more")) : "");
}

function glide(item, from) {
  const to = item.getBoundingClientRect();
  if (from && (from.x !== to.x || from.y !== to.y)) {
    item.animate([{ transform: `translate(${from.x - to.x}px, ${from.y - to.y}px)` }, { transform: "none" }], { duration: 220, easing: "ease-out" });
  } else if (!from) item.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 220 });
}

// The similarity as a bar whose pieces are what each part contributes, in the colours of the sliders.
function similarity({ similarity: value, contributions = {} }) {
  const parts = partsOf(index, state.by);
  const pieces = parts.map((part) => [part, Object.entries(contributions).filter(([name]) => name in part.blocks || name.startsWith(`${part.name}:`)).reduce((total, [, share]) => total + share, 0)]);
  const said = pieces.filter(([, share]) => Math.abs(share) >= 0.005).map(([part, share]) => `${partName(part.name)} ${number(share, "score")}`);
  return el("span", { class: "similarity", title: said.length ? `${t("parts_of_similarity")}: ${said.join(", ")}` : null },
    el("span", { class: "track", "aria-hidden": "true" }, pieces.filter(([, share]) => share > 0).map(([part, share]) => el("span", { class: "piece", "--share": Math.min(1, share), "--part": part.colour }))),
    el("span", { class: "share-value", "aria-label": t("similarity", { value: number(value, "score") }) }, number(value, "score")));
}

function copyLink() {
  navigator.clipboard?.writeText(location.href).then(() => toast(t("copied")), () => toast(t("not_copied"))) ?? toast(t("not_copied"));
}
