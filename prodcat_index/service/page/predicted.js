// The answer to a listing: its category, what is beside and above it, and the reason in plain words.
import { link } from "./address.js";
import { asShown, categoryName, el, icon, isWithin, message, parentOf, shareBar } from "./components.js";
import { number, t } from "./texts.js";
import { partName } from "./weight_sliders.js";

const MOST = 5; // Other categories that are shown at once.
const MATTERS = 0.05; // Of the vote; less decides nothing.
const percent = (share) => number(share, "percent");
// Its probability, where the vote is calibrated.
const part = ({ share, probability }) => probability ?? share;
const worth = (each) => part(each) >= 0.005; // Less is nothing to look at.
const what = ([first]) => el("span", { class: "hint" }, t(first.probability === undefined ? "share_of_vote" : "probability"));
const browse = (category) => link("browse", { c: category });

// `answer` is that of POST /predict with explain; its confidence is a probability where it is calibrated.
export function predicted(answer, { isCalibrated }) {
  if (!answer.category) return message({ title: t("no_answer"), text: answer.notes.join(" "), lang: "en" });
  const isFlat = !parentOf(answer.category);
  return el("div", { class: "predicted" },
    el("div", { class: "headline" },
      el("p", { class: "label quiet" }, t("predicted")),
      el("a", { class: "answer", href: browse(answer.category) }, categoryName(answer.category)),
      el("p", { class: "sure" },
        el("span", { class: "track", "aria-hidden": "true" }, el("span", { class: "fill", "--share": answer.confidence })),
        el("span", {}, t(isCalibrated ? "confident" : "vote_share", { value: percent(answer.confidence) })), decision(answer))),
    el("section", { class: "ranking" }, isFlat ? null : tree(answer.tree), ranked(answer, isFlat)),
    el("details", { class: "why", open: !matchMedia("(max-width: 46rem)").matches }, el("summary", {}, el("h3", {}, t("why")), icon("chevron")), el("ul", {}, reasons(answer).map((reason) => el("li", {}, reason))),
      // What became of this one listing is said by the sign beside the answer.
      answer.notes.filter((said) => !/^(precision |new, like )/i.test(said)).map((said) => el("p", { class: "hint", lang: "en" }, said[0].toUpperCase() + said.slice(1)))));
}

function decision({ decision: decided }) {
  const tones = { accept: ["good", "decision_accept"], review: ["warn", "decision_review"], new: ["bad", "decision_new"] };
  if (!(decided in tones)) return null;
  const [tone, key] = tones[decided];
  return el("span", { class: `badge ${tone}` }, t(key));
}

// Each level of the answer with its share, and the others under the same parent below it.
function tree(levels) {
  const shown = levels.map((level, depth) => el("li", { class: "level-row", "--level": depth },
    bar(level, ""), beside(level.siblings)));
  return el("div", {}, el("h3", {}, t("tree"), " ", what(levels)), el("ol", { class: "levels" }, shown));
}

function beside(siblings) {
  const shown = siblings.filter(worth).slice(0, MOST);
  return shown.length ? el("ul", { class: "beside", "aria-label": t("siblings", { n: shown.length }) }, shown.map((each) => el("li", {}, bar(each, "soft")))) : null;
}

function ranked({ category, ranked: all }, isFlat) {
  // Those beside the answer stand in the tree.
  const others = isFlat ? all : all.slice(1).filter((other) => worth(other) && !isWithin(other.category, parentOf(category)));
  if (!others.length) return null;
  const rows = others.map((other, place) => el("li", {}, shareBar(categoryName(other.category), part(other), { href: browse(other.category), tone: isFlat && !place ? "" : "soft" })));
  const heading = el("h3", {}, t(isFlat ? "category" : "ranked"), " ", what(others));
  const rest = rows.slice(MOST);
  return el("div", {}, heading, el("ul", {}, rows.slice(0, MOST)),
    rest.length ? el("details", { class: "rest" }, el("summary", {}, t("more")), el("ul", {}, rest)) : null);
}

const bar = (each, tone) => shareBar(categoryName(each.category, { short: true }), part(each), { href: browse(each.category), tone });

function reasons({ category, neighbours, words = [], decided_by: decidedBy, without = {}, share, head, evidence, note }) {
  const said = [];
  const same = neighbours.filter((card) => card.category === category);
  if (neighbours.length) {
    const votes = same.reduce((total, card) => total + (card.vote_share ?? 0), 0);
    said.push(t("why_neighbours", { n: neighbours.length, same: same.length, share: percent(Math.min(votes, 1)) }));
  }
  if (decidedBy) said.push(decisive(category, share, decidedBy, without[decidedBy]));
  // Without words, the head tells categories apart by the picture.
  if (words.length) said.push(el("span", {}, t("why_words"), " ", words.slice(0, 6).flatMap(({ word }) => [el("span", { class: "word" }, word), " "])));
  if (head !== undefined && words.length) said.push(t("why_head", { value: percent(head) }));
  if (evidence) {
    said.push(t(note ? "why_new" : evidence.known_category < 0.5 ? "why_unsure" : "why_known", { value: percent(evidence.known_category) }));
    if (evidence.known_words !== undefined) said.push(t("why_known_words", { value: percent(evidence.known_words) }));
    if (evidence.nearest !== undefined) said.push(t("why_nearest", { value: percent(Math.max(0, evidence.nearest)) }));
  }
  return said;
}

function decisive(category, share, modality, other) {
  const name = partName(modality).toLowerCase();
  if (!other?.category) return t("why_decided_nothing", { modality: name });
  const values = { modality: name, category: asShown(other.category), share: percent(other.share) };
  if (other.category !== category) return t("why_decided", values);
  return t(share - other.share < MATTERS ? "why_decided_by_none" : "why_decided_less", values);
}
