// What an item of the review queue looks like: its cards, and the choices.
import { cardPicture, cardTile, categoryName, el, isBelow, parentOf, shareBar } from "./components.js";
import { picturePath } from "./hand.js";
import { number, t, TEXTS } from "./texts.js";

const MOST_CHOICES = 9; // As many as there are keys.
export const REMOVE = "remove";
const MERGE = "merge into ";
const TEXT = 240; // Letters of a description that are shown at once.


// The category that "yes" gives; "" where nothing is proposed, or something else.
export const proposedCategory = ({ proposal }) => (proposal === REMOVE ? "" : proposal.replace(MERGE, ""));

// An item about a category, which is to be merged into another one, shows no card.
export const ownCategory = (item) => (item.card ? item.card.category : item.subject);
export const titleOf = (item) => (item.card ? item.card.title || item.card.id : item.subject);

// The choices beside the proposal as [{relation, parent, share, choices: [{category, share, key}]}]: those
// with the same parent and what that has altogether, then those above and below, then others. The keys count through.
export function groupChoices(item) {
  const proposed = proposedCategory(item);
  const base = proposed || ownCategory(item) || item.choices[0]?.category || "";
  const parent = parentOf(base);
  const relation = (category) => {
    if (isBelow(base, category)) return "above";
    if (isBelow(category, base)) return "below";
    return parentOf(category) === parent ? "beside" : "elsewhere";
  };
  const others = item.choices.filter(({ category }) => category !== proposed).slice(0, MOST_CHOICES);
  let key = 0;
  return ["beside", "above", "below", "elsewhere"]
    .map((own) => ({ relation: own, choices: others.filter(({ category }) => relation(category) === own) }))
    .filter(({ choices }) => choices.length)
    .map(({ relation: own, choices }) => ({
      relation: own,
      parent: own === "beside" ? parent : "",
      share: own === "beside" && parent ? shareWithin(item.choices, parent) : null,
      choices: choices.map((choice) => ({ ...choice, key: ++key })),
    }));
}

const shareWithin = (choices, parent) =>
  choices.filter(({ category }) => isBelow(category, parent)).reduce((sum, { share }) => sum + share, 0);

// The proposal in words.
export function proposalText(item) {
  const category = proposedCategory(item);
  if (category) return item.proposal.startsWith(MERGE) ? t("review_merge", { category }) : category;
  return item.proposal ? t("review_remove") : "–";
}

// A decision in words: what became of the cards.
export function decisionText(decision, category) {
  if (category) return category;
  return `review_did_${decision}` in TEXTS.en ? t(`review_did_${decision}`) : decision;
}

const kbd = (key) => el("kbd", { "aria-hidden": "true" }, key);

// A button with the key that does the same.
export function keyButton(key, name, run, tone = "") {
  return el("button", { type: "button", class: `button ${tone}`, onclick: run }, kbd(key), name);
}

// The card as large as the place allows, why it is here, and what shows it. `picture` is an element.
export function drawItem(item, picture) {
  const { card, cards } = item;
  return [
    el("p", { class: "review-why" }, el("span", { class: "review-kind" }, kindName(item.kind)), " ", el("span", { lang: "en" }, item.why)),
    el("div", { class: "review-look" },
      picture,
      el("div", { class: "review-words" },
        el("h2", { id: "review-title", tabindex: "-1", "data-item": item.id }, titleOf(item)),
        el("p", { class: "review-now" }, t("review_now"), " ", categoryName(ownCategory(item))),
        description(card?.description ?? ""),
        item.words.length ? el("p", { class: "review-telling" }, `${t("review_words")} `, item.words.flatMap((word) => [el("span", { class: "chip" }, word), " "])) : null)),
    cards.length > 1 ? section(t("review_cards", { n: cards.length }), cards.map((one) => tile(one, item.remove.includes(one.id) && t("review_would_go")))) : null,
    item.neighbours.length ? section(t(item.proposal === REMOVE ? "review_stay" : "review_neighbours", { n: item.neighbours.length }), item.neighbours.map((one) => tile(one, one.similarity != null && t("similarity", { value: number(one.similarity, "score") })))) : null,
  ];
}

// Kinds of further checks are shown by their own names.
function kindName(kind) {
  const key = kind.replace(/\W+/g, "_");
  return `review_kind_${key}` in TEXTS.en ? t(`review_kind_${key}`) : kind;
}

const section = (heading, tiles) => el("section", { class: "review-near" }, el("h3", {}, heading), el("div", { class: "review-strip", tabindex: "0", role: "group", "aria-label": heading }, tiles));
const tile = (card, note) => cardTile(card, { size: 160, extra: note ? [el("span", { class: "review-note" }, note)] : [] });

function description(text) {
  if (text.length <= TEXT) return text ? el("p", { class: "review-text" }, text) : null;
  const cut = text.lastIndexOf(" ", TEXT);
  const start = text.slice(0, cut > 0 ? cut : TEXT);
  return el("details", { class: "review-text" }, el("summary", {}, start, el("span", { class: "review-more" }, ` … ${t("review_more")}`)), el("p", {}, text.slice(start.length)));
}

// The proposal and the choices; decide(decision, category) is called on one.
export function drawChoices(item, decide) {
  const category = proposedCategory(item);
  const isMerge = item.proposal.startsWith(MERGE);
  const accept = item.proposal && el("button", { type: "button", class: "review-accept", onclick: () => decide("yes", isMerge ? "" : category) },
    kbd("Enter"),
    el("span", { class: "review-verb" }, t(item.proposal === REMOVE ? "review_accept_remove" : isMerge ? "review_accept_merge" : "review_accept")),
    category ? share(category, item.confidence) : null);
  return [
    accept || el("p", {}, t("review_no_proposal")),
    ...groupChoices(item).map(({ relation, parent, share: sum, choices }) =>
      el("section", { class: `review-group review-${relation}` },
        el("h3", {}, el("span", {}, t(`review_relation_${relation}`), ...(parent ? [": ", categoryName(parent)] : [])), sum ? el("span", { class: "review-sum" }, number(sum, "percent")) : null),
        choices.map((choice) =>
          el("button", { type: "button", class: "review-choice", "data-category": choice.category, onclick: () => decide(choice.category, choice.category) },
            kbd(choice.key), share(choice.category, choice.share, ["beside", "below"].includes(relation)))))),
  ];
}

// The name of the category with its probability; `short` leaves out what the heading says.
function share(category, probability, short = false) {
  const name = categoryName(category, { short });
  return probability == null ? name : shareBar(name, probability);
}

// Cards like the one that is shown, to be decided with it. `out` is the set of the items left out.
export function drawTiles(item, others, out, changed, accept) {
  const proposed = item.proposal;
  const tiles = others.map((other) => {
    const box = el("input", { type: "checkbox", "data-item": other.id, checked: !out.has(other.id), onchange: () => {
      out[box.checked ? "delete" : "add"](other.id);
      changed();
    }, onkeydown: (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      accept();
    } });
    const differs = other.proposal !== proposed;
    return el("label", { class: "review-tile" }, box,
      cardPicture(other.card, { size: 160, path: picturePath({ ...other, check: item.check }) }),
      el("span", { class: "tile-title" }, titleOf(other)),
      el("span", { class: "tile-category" }, categoryName(other.card.category, { short: true })),
      differs && other.proposal ? el("span", { class: "review-note" }, t("review_proposed_else", { category: other.proposal })) : null);
  });
  return el("fieldset", { class: "review-tiles" }, el("legend", {}, t("review_like_this", { n: others.length })), tiles);
}

// What the review has brought: cards done and left, time, and the estimate of the quality.
export function drawFigures({ done, left, minutes, per_minute: rate, estimated_f1: f1, reviewing, problems }, owner) {
  const figure = (value, name, title) => el("span", { class: "review-figure", title }, el("strong", {}, value), " ", name);
  const others = reviewing.filter((name) => name !== owner);
  return [
    el("progress", { max: done + left || 1, value: done, "aria-label": t("review_done") }),
    figure(number(done), t("review_done")), figure(number(left), t("review_left")),
    figure(number(minutes), t("review_minutes", { n: Math.round(minutes) })),
    rate != null ? figure(number(rate), t("review_rate")) : "",
    f1?.now != null && done + left ? figure(`${number(f1.before, "score")} → ${number(f1.now, "score")}`, t("review_f1"), t("review_f1_help")) : "",
    others.length ? el("span", { class: "quiet" }, t("review_others", { names: others.join(", ") })) : "",
    ...problems.map((problem) => el("span", { class: "wrong" }, problem)),
  ];
}

export const isUndoable = ({ who, state }, owner) => who === owner && ["pending", "skipped"].includes(state);

// One line of the last decisions. `state` may be "unsaved"; undo and revert are called on a press.
export function drawDecision(one, state, owner, { undo, revert }) {
  const { title, category, cards, who } = one;
  const does = ["applied", "stale"].includes(one.state) ? [t("review_revert"), revert] : isUndoable(one, owner) ? [t("review_undo"), undo] : null;
  return el("li", { class: state, "data-decision": one.decision_id },
    el("span", { class: "review-what" }, title, cards > 1 ? ` ${t("review_and_more", { n: cards - 1 })}` : "", " → ",
      category ? categoryName(category) : decisionText(one.decision, "")),
    el("span", { class: "quiet" }, who === owner ? "" : who),
    el("span", { class: `badge ${{ unsaved: "warn", applied: "good", stale: "bad" }[state] ?? ""}`, title: one.note || null }, t(`review_state_${state}`)),
    does ? el("button", { type: "button", class: "button small", onclick: () => does[1](one), "aria-label": `${does[0]}: ${title}` }, does[0]) : el("span"));
}

// Nothing is left: what it brought.
export function drawFinished({ done, left, minutes, estimated_f1: f1 }, buttons) {
  return el("div", { class: "message review-finished" },
    el("p", { class: "message-title" }, t(done ? "review_finished" : "review_not_yet")),
    el("p", {}, done ? t("review_finished_text", { n: done, minutes: number(minutes) }) : t("review_nothing_yet")),
    f1?.now != null && done ? el("p", {}, t("review_finished_f1", { before: number(f1.before, "score"), now: number(f1.now, "score") })) : null,
    left ? el("p", {}, t("review_with_others", { n: left })) : null,
    el("p", { class: "buttons" }, buttons));
}
