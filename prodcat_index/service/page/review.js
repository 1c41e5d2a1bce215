// The review queue: one card at a time, one key a decision.
import { api, connection } from "./api.js";
import { announce, cardPicture, el, message, parentOf, problemMessage, SEPARATOR, sentence, toast } from "./components.js";
import { findCategory } from "./find_category.js";
import { Hand } from "./hand.js";
import { Outbox } from "./outbox.js";
import { decisionText, drawChoices, drawDecision, drawFigures, drawFinished, drawItem, drawTiles, groupChoices, isUndoable, keyButton, ownCategory, proposalText, proposedCategory, REMOVE, titleOf } from "./review_parts.js";
import { useShortcuts } from "./shortcuts.js";
import { t } from "./texts.js";

const LOG = 50; // Decisions that are known here.
const LISTED = 15;
const TICK = 3_000; // Milliseconds between looks for a first card;
const REFRESH = 10; // as many ticks between looks for others. Asking also keeps what is in hand from others.

let owner, outbox, hand;
let place = null; // The elements of the view while it is shown.
let timer;
let log = []; // Decisions, the newest first.
let bulk = null; // {items, out} while cards that are alike are decided at once.
let drawn = ""; // Id of the item that is shown, or why there is none.
const decided = new Map(); // Decision -> the items as they were, to show them again at once.

export async function show(root, params, index) {
  if (!index.writable) return root.replaceChildren(howTo());
  await ownTab();
  const name = `${new URL(".", location).pathname} ${index.name} ${index.owner}`;
  if (outbox?.name !== name) open(name, index.owner);
  if (!place || !root.contains(place.main)) {
    root.replaceChildren(...frame());
    drawn = "";
    draw();
  }
  useShortcuts(shortcuts());
  clearInterval(timer);
  let ticks = 0;
  timer = setInterval(() => (++ticks % REFRESH === 0 || !hand.items.length) && refresh(), TICK);
  await refresh();
}

export function hide() {
  clearInterval(timer);
  timer = place = bulk = null;
}

document.addEventListener("visibilitychange", () => timer && !document.hidden && refresh());

function howTo() {
  const command = el("pre", { class: "review-command", tabindex: "0" }, "prodcat serve INDEX --writable --token-file tokens.txt --audit");
  return el("div", { class: "message" }, el("p", { class: "message-title" }, t("review_nothing_writable")), el("p", {}, t("review_how")), command);
}

// A duplicated tab has the id of the first, and would be given the same cards: a lock tells them apart.
async function ownTab() {
  if (ownTab.done) return;
  ownTab.done = true;
  const isFree = () => new Promise((resolve) =>
    navigator.locks.request(`prodcat-tab ${api.client}`, { ifAvailable: true }, (lock) => {
      resolve(Boolean(lock));
      return lock && new Promise(() => {}); // Held as long as the tab lives.
    }));
  const pause = () => new Promise((resolve) => setTimeout(resolve, 150)); // The page before a reload may still hold it.
  if (navigator.locks && ((await isFree()) || (await pause(), await isFree()))) return;
  api.client = crypto.getRandomValues(new Uint32Array(2)).join("-");
  if (navigator.locks) await isFree();
}

function open(name, person) {
  owner = person;
  outbox = new Outbox(name, {
    changed: () => place && (drawCounter(), drawLog()),
    confirmed,
    refused,
    failing: (problem) => problem.status && place && (place.unsaved.title = sentence(problem)),
  });
  hand = new Hand(outbox);
  log = [];
}

// Asking.

// Runs a request; what went wrong is shown where no card is, and said otherwise.
async function attempt(run) {
  try {
    return await run();
  } catch (problem) {
    if (problem.status && place) {
      if (hand.items.length) toast(sentence(problem), { seconds: 12 });
      else place.main.replaceChildren(problemMessage(problem, refresh));
      if (!hand.items.length) drawn = "";
    }
    return null;
  }
}

async function fill() {
  const isLost = await attempt(() => hand.fill());
  if (isLost) toast(t("review_gone"));
  if (place && isLost !== null) draw();
}

async function refresh() {
  if (connection.lost) return;
  outbox.send();
  await fill();
  const asked = hand.moment;
  if (outbox.keys().length) return;
  const answer = await attempt(() => api.get("review/decisions", { limit: LOG }));
  // What was decided or taken back since is not known there yet.
  if (!answer || !place || asked !== hand.moment) return;
  log = answer.decisions;
  drawLog();
}

const isUnsaved = (one) => outbox.entries().some(({ body }) => body.decision_id === one.decision_id);

// Deciding.

// Returns whether it is kept until the service confirms it.
function keep(path, body, about) {
  try {
    outbox.add({ path, body, about });
    return true;
  } catch {
    toast(t("review_not_kept"), { seconds: 20 });
    return false;
  }
}

function decide(decision, category = "") {
  const [item] = hand.items;
  if (!item || drawn !== item.id) return;
  const others = bulk ? bulk.items.filter(({ id }) => !bulk.out.has(id)) : [];
  const all = [item, ...others];
  if (decision === "yes" && item.proposal === REMOVE) decision = REMOVE; // The list of decisions says what was done.
  const id = crypto.getRandomValues(new Uint32Array(4)).join("-");
  // Others may be proposed something else, and get what is seen here.
  const body = { decision_id: id, decision: decision === "yes" && others.length && category ? category : decision };
  if (decision === "new") body.category = category;
  if (others.length) body.also = others.map((other) => other.id);
  const title = titleOf(item);
  if (!keep(`review/${encodeURIComponent(item.id)}`, body, { title, items: all.map((one) => one.id) })) return;
  hand.take(all);
  decided.set(id, all);
  bulk = null;
  const cards = all.reduce((sum, one) => sum + (one.cards?.length || 1), 0);
  log.unshift({ decision_id: id, who: owner, decision, category, title, cards, state: decision === "skip" ? "skipped" : "pending" });
  const said = { title, decision: decisionText(decision, category), n: others.length };
  draw(others.length ? t("review_said_many", said) : t("review_said", said));
  fill();
}

function undo(one = log.find((each) => isUndoable(each, owner))) {
  if (!one) return toast(t("review_nothing_to_undo"));
  const items = decided.get(one.decision_id) ?? [];
  if (!keep("review/undo", { decision_id: one.decision_id }, { title: one.title, items: items.map(({ id }) => id), isUndo: true })) return;
  one.state = "undone";
  bulk = null;
  hand.putBack(items);
  draw(t("review_undone", { title: one.title }));
}

function confirmed({ body, about }, answer) {
  hand.counter = answer.counter ?? hand.counter;
  // Taken back, but decided before this page was opened: its items come with the answer.
  if (about.isUndo && !about.items.length) hand.putBack(answer.items);
  if (!place) return;
  if (about.isUndo && !about.items.length) draw();
  else if (!hand.items.length) fill();
}

// What the service does not take is said, and all is asked for anew.
function refused({ body, about }, problem) {
  toast(t("review_refused", { title: about.title, reason: sentence(problem) }), { seconds: 20 });
  log = log.filter((one) => one.decision_id !== body.decision_id);
  hand.release(about.items);
  if (place) refresh();
}

async function revert(one) {
  if (await attempt(() => api.post(`review/decisions/${encodeURIComponent(one.decision_id)}/revert`))) toast(t("review_reverted", { title: one.title }));
  refresh();
}

async function apply() {
  place.apply.disabled = true;
  const answer = await attempt(() => api.post("review/apply"));
  if (answer) toast(t("review_applied", { n: answer.applied }));
  refresh();
}

// Several at once.

async function openBulk() {
  const [item] = hand.items;
  if (!item || bulk) return;
  const answer = item.similar ? await attempt(() => api.get(`review/${encodeURIComponent(item.id)}/similar`)) : { items: [] };
  if (!place || !answer || hand.items[0] !== item) return;
  const items = answer.items.filter(({ id }) => id !== item.id);
  if (!items.length) {
    [item.similar, drawn] = [0, ""];
    toast(t("review_alone"));
    return draw();
  }
  // What is proposed something else is decided with them only if a person takes it in.
  bulk = { items, out: new Set(items.filter(({ proposal }) => proposal && proposal !== item.proposal).map(({ id }) => id)) };
  draw(t("review_like_this", { n: items.length }));
  tiles()[0].focus({ preventScroll: true });
}

function closeBulk() {
  if (!bulk) return;
  bulk = null;
  draw();
}

const tiles = () => [...place.main.querySelectorAll("input[data-item]")];

function moveTile(step, byRow = false) {
  const all = tiles();
  const tops = all.map((box) => box.parentElement.offsetTop);
  const width = byRow ? tops.filter((top) => top === tops[0]).length : 1;
  all[all.indexOf(document.activeElement) + step * width]?.focus();
}

// Drawing.

function frame() {
  place = {};
  const block = (name) => (place[name] = el("div", { class: `review-${name}` }));
  const button = (name, run, properties) => el("button", { type: "button", class: "button", onclick: run, ...properties }, name);
  const save = (format, name) => () => attempt(() => api.download("review/decisions", { format }, name));
  place.unsaved = button("", () => (connection.lost ? connection.retry() : outbox.send()), { class: "badge warn review-unsaved" });
  place.apply = button(t("review_apply"), apply, { title: t("review_apply_help") });
  return [
    el("h1", { class: "unseen" }, t("review")),
    el("div", { class: "review-counter" }, block("figures"), place.unsaved),
    block("main"),
    el("details", { class: "panel review-log", open: matchMedia("(min-width: 46rem)").matches },
      el("summary", {}, t("review_log")), block("decisions"),
      el("p", { class: "buttons" }, place.apply, button(t("review_export"), save("csv", "decisions.csv"), { class: "button plain" }),
        button(t("review_export_relabel"), save("relabel", "review.csv"), { class: "button plain", title: t("review_export_relabel_help") }))),
  ];
}

// Draws what has changed. `told` is what a screen reader says before the next card.
function draw(told = "") {
  if (!place) return;
  drawCounter();
  drawLog();
  const [item] = hand.items;
  const shown = item?.id ?? (hand.isEmpty && !outbox.keys().length ? "finished" : `waiting ${connection.lost}`);
  if (shown === drawn && place.bulk === bulk) return told && announce(told);
  drawn = shown;
  place.bulk = bulk;
  place.main.replaceChildren(item ? drawDesk(item) : drawEmpty());
  const next = item && !bulk ? t("review_next", { title: titleOf(item), proposal: proposalText(item) }) : "";
  announce(`${told} ${next}`.trim());
  if (!item || document.querySelector("dialog[open]")) return null;
  document.getElementById("review-title").focus({ preventScroll: true });
  if (place.main.getBoundingClientRect().top < 0) place.main.scrollIntoView();
  return null;
}

function drawDesk(item) {
  const picture = cardPicture({ image: false });
  hand.picture(item)?.then((image) => picture.replaceChildren(image), () => {});
  const card = el("article", { class: "panel review-card", "aria-label": t("review_item") }, drawItem(item, picture));
  const actions = el("div", { class: "review-actions" },
    canKeep(item) ? keyButton("k", t("review_keep"), () => decide("keep")) : null,
    keyButton("/", t("review_other"), () => choose()),
    keyButton("n", t("review_new"), () => choose(true)),
    canRemove(item) ? keyButton("r", t("review_remove"), () => decide("remove")) : null,
    keyButton("s", t("review_skip"), () => decide("skip")),
    keyButton("u", t("review_undo"), () => undo()));
  let above = null;
  if (bulk) {
    const count = el("p", { class: "review-count", role: "status" });
    const changed = () => (count.textContent = t("review_bulk_count", { n: 1 + bulk.items.length - bulk.out.size }));
    changed();
    card.append(drawTiles(item, bulk.items, bulk.out, changed, accept));
    above = [count, el("p", { class: "quiet" }, t("review_bulk_help")), keyButton("Esc", t("review_bulk_leave"), closeBulk)];
  }
  const similar = !bulk && item.similar ? keyButton("a", t("review_similar", { n: item.similar }), openBulk, "review-similar") : null;
  const panel = el("section", { class: "panel review-panel", "aria-label": t("review_decide") }, above, drawChoices(item, decide), similar, actions);
  return el("div", { class: `review-desk ${bulk ? "bulk" : ""}` }, card, panel);
}

function drawEmpty() {
  if (drawn !== "finished") return message({ kind: "loading", text: t(connection.lost ? "review_waiting" : "review_loading") });
  return drawFinished(hand.counter, [keyButton("u", t("review_undo"), () => undo()), el("button", { type: "button", class: "button", onclick: refresh }, t("review_look_again"))]);
}

function drawCounter() {
  const unsaved = outbox.keys().length;
  place.unsaved.hidden = !unsaved;
  place.unsaved.textContent = t("review_unsaved", { n: unsaved });
  if (!unsaved) place.unsaved.title = t("review_unsaved_help");
  if (!hand.counter) return;
  place.apply.disabled = !hand.counter.pending;
  place.figures.replaceChildren(...drawFigures(hand.counter, owner));
}

function drawLog() {
  const rows = log.slice(0, LISTED).map((one) => drawDecision(one, isUnsaved(one) ? "unsaved" : one.state, owner, { undo, revert }));
  place.decisions.replaceChildren(rows.length ? el("ul", {}, rows) : el("p", { class: "quiet" }, t("review_log_empty")));
}

// Keys.

// A listing without a category has none to keep; a category cannot be removed.
const canKeep = (item) => Boolean(ownCategory(item));
const canRemove = (item) => Boolean(item.card);

function accept() {
  const [item] = hand.items;
  if (item?.proposal) decide("yes", proposedCategory(item));
  else if (item) toast(t("review_no_proposal"));
}

function choose(isNew = false) {
  const [item] = hand.items;
  if (!item) return;
  const parent = parentOf(ownCategory(item) || proposedCategory(item));
  findCategory({
    isNew,
    text: isNew && parent ? parent + SEPARATOR : "",
    choose: (category, isOther) => decide(isOther ? "new" : category, category),
    closed: () => document.getElementById("review-title")?.focus({ preventScroll: true }),
  });
}

function shortcuts() {
  const pick = (key) => {
    const choices = hand.items.slice(0, 1).flatMap(groupChoices).flatMap((group) => group.choices);
    const found = choices.find((choice) => choice.key === key);
    if (found) decide(found.category, found.category);
  };
  const arrow = (key, step, byRow) => ({ key, run: () => bulk && moveTile(step, byRow), repeat: true });
  return [
    { key: "Enter", keys: ["Enter", "y"], text: t("review_key_accept"), run: accept },
    { key: "y", run: accept },
    { key: "1", keys: ["1", "…", "9"], text: t("review_key_number"), run: () => pick(1) },
    ...[2, 3, 4, 5, 6, 7, 8, 9].map((key) => ({ key: String(key), run: () => pick(key) })),
    { key: "/", text: t("review_key_find"), run: () => choose() },
    { key: "n", text: t("review_new"), run: () => choose(true) },
    { key: "k", text: t("review_keep"), run: () => hand.items.slice(0, 1).some(canKeep) && decide("keep") },
    { key: "r", text: t("review_remove"), run: () => hand.items.slice(0, 1).some(canRemove) && decide("remove") },
    { key: "s", text: t("review_skip"), run: () => decide("skip") },
    { key: "u", text: t("review_undo"), run: () => undo() },
    { key: "a", text: t("review_key_similar"), run: openBulk },
    { key: "x", text: t("review_key_exclude"), run: () => document.activeElement.matches("input[data-item]") && document.activeElement.click() },
    { key: "Escape", text: t("review_key_leave"), run: closeBulk },
    arrow("ArrowRight", 1), arrow("ArrowLeft", -1), arrow("ArrowDown", 1, true), arrow("ArrowUp", -1, true),
  ];
}
