"""Matching of offers on public benchmarks, beside lexical similarities with boosting."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from prodcat_index.audit.matching import DEFAULT_FILE, LogisticModel, Matcher, best_threshold
from prodcat_index.audit.offer_similarity import CONTEXT_FEATURES, PAIR_FEATURES
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.types import BoolArray, Float64Array, Int64Array
from scripts.benchmarks.measuring import stopwatch
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

PARTS = ("train", "valid", "test")
FIELD = re.compile(r"(?:^|\s)COL (\S+) VAL")
# What the sets call the columns that every catalogue has.
RENAMED = {"name": "title"}
BOOTSTRAPS = 1000
# Strength of the penalty of the default model, as scikit-learn's C.
PENALTY = 0.1
SEED = 0
FOLDS = 5
HEADER = ["set", "part", "pairs", "same", "ten similarities", "default model", "fitted to train"]


@dataclass(frozen=True, eq=False)
class MatchingSet:
    """The offers of all parts of a set, and its labelled pairs by part."""

    name: str
    matcher: Matcher
    pairs: Mapping[str, Int64Array]
    truth: Mapping[str, BoolArray]

    @cached_property
    def train_features(self) -> Float64Array:
        """Features of the labelled pairs to learn from."""
        return self.matcher.all_features(self.pairs["train"])


def match(
    data: Annotated[Path, typer.Argument(help="Folder of sets with train.txt and valid.txt.")],
    write_default: Annotated[
        bool, typer.Option("--write-default", help="Write the default model of the package.")
    ] = False,
    page: PageOption = PAGE,
) -> None:
    """Measure the matching of offers: recall of candidates, and F1 of pairs."""
    sets = [read_set(file.parent) for file in sorted(data.glob("*/train.txt"))]
    if len(sets) < 2:
        raise typer.BadParameter(f"{data} needs folders of two sets or more, each with train.txt")
    # Of each set, the default model as it would be without it.
    models = {one.name: fit_default([o for o in sets if o is not one], "context") for one in sets}
    if write_default:
        fitted = {name: vars(fit_default(sets, name)) for name in ("pair", "context")}
        DEFAULT_FILE.write_text(json.dumps(fitted, indent=1) + "\n", encoding="utf-8")
    recalls, scores = [], []
    for one in sets:
        recalls.append(recall_row(one))
        scores += score_rows(one, models[one.name])
        typer.echo(f"{one.name} done", err=True)
    body = describe(recalls, scores, speed(sets[0]))
    typer.echo(body)
    write_section(page, "Matching of offers", body)


def read_set(folder: Path) -> MatchingSet:
    """Read a set: a line is two offers and 1 or 0; an offer is fields as COL name VAL text."""
    import pandas as pd

    sides: list[dict[str, int]] = [{}, {}]
    pairs, truth = {}, {}
    for part in PARTS:
        if not (folder / f"{part}.txt").is_file():
            continue
        text = (folder / f"{part}.txt").read_text(encoding="utf-8")
        lines = [line.split("\t") for line in text.split("\n") if line.strip()]
        pairs[part] = np.array(
            [[s.setdefault(o, len(s)) for s, o in zip(sides, line, strict=False)] for line in lines]
        )
        truth[part] = np.array([line[2].strip() == "1" for line in lines])
    catalogues = []
    for side in sides:
        rows = [FIELD.split(offer)[1:] for offer in side]
        offers = [
            {RENAMED.get(n, n): v.strip() for n, v in zip(r[::2], r[1::2], strict=True)}
            for r in rows
        ]
        frame = pd.DataFrame(offers).fillna("")
        frame.insert(0, "id", [str(row) for row in range(len(frame))])
        catalogues.append(read_catalogue(frame))
    return MatchingSet(folder.name, Matcher(*catalogues), pairs, truth)


def recall_row(one: MatchingSet) -> list[str]:
    """Return how often the partner of a true pair is among the 20 candidates, from either side."""
    true = np.unique(np.concatenate([one.pairs[p][one.truth[p]] for p in one.pairs]), axis=0)
    (right, _), (left, _) = one.matcher.offers.nearest(20)
    forward = (right[true[:, 0]] == true[:, [1]]).any(axis=1).mean()
    back = (left[true[:, 1]] == true[:, [0]]).any(axis=1).mean()
    sizes = [f"{len(side):,}" for side in (one.matcher.left, one.matcher.right)]
    return [one.name, *sizes, f"{len(true):,}", f"{forward:.4f}", f"{back:.4f}"]


def score_rows(one: MatchingSet, default: LogisticModel) -> list[list[str]]:
    train = one.pairs["train"], one.truth["train"]
    parts = [part for part in one.pairs if part != "train"]
    answers: list[dict[str, BoolArray]] = [baseline(one, parts)]
    centre = default.centre_of(one.matcher.usual_features)
    answers.append(
        {
            part: default.probabilities(one.matcher.all_features(one.pairs[part]), centre)
            >= default.threshold
            for part in parts
        }
    )
    fitted = one.matcher.fit(*train, seed=SEED)
    answers.append(
        {part: fitted.predict_proba(one.pairs[part]) >= fitted.threshold for part in parts}
    )
    rows = []
    for part in parts:
        truth, left = one.truth[part], one.pairs[part][:, 0]
        cells = [write_score(truth, accepted[part], left) for accepted in answers]
        rows.append([one.name, part, f"{len(truth):,}", f"{truth.sum():,}", *cells])
    return rows


def write_score(truth: BoolArray, accepted: BoolArray, left: Int64Array) -> str:
    """Return F1 with its interval by resampling the left offers, precision and recall."""
    counts = np.column_stack([truth & accepted, accepted, truth]).astype(np.float64)
    sums = np.stack([np.bincount(left, column) for column in counts.T], axis=1)
    sums = sums[np.unique(left)]
    draws = np.random.default_rng(SEED).integers(0, len(sums), (BOOTSTRAPS, len(sums)))
    low, high = np.quantile([f1(sums[draw].sum(axis=0)) for draw in draws], [0.025, 0.975])
    both, said, true = counts.sum(axis=0)
    return (
        f"{f1(counts.sum(axis=0)):.3f} ({low:.3f} to {high:.3f}), "
        f"{both / max(said, 1):.2f} / {both / max(true, 1):.2f}"
    )


def f1(counts: Any) -> float:
    both, said, true = counts
    return float(2 * both / max(said + true, 1))


def fit_default(sets: Sequence[MatchingSet], name: str) -> LogisticModel:
    """Fit logistic regression to the training parts of sets, features less their own centre."""
    from sklearn.linear_model import LogisticRegression

    width = len(PAIR_FEATURES) + (len(CONTEXT_FEATURES) if name == "context" else 0)
    features, centres, truth = [], [], []
    for one in sets:
        own = one.train_features[:, :width]
        # Without context, pairs are compared with the mean of those that are given.
        usual = one.matcher.usual_features if name == "context" else own
        counts = (~np.isnan(usual)).sum(axis=0)
        centres.append(np.nansum(usual, axis=0) / np.maximum(counts, 1))
        features.append(own - centres[-1])
        truth.append(one.truth["train"])
    rows, labels = np.nan_to_num(np.concatenate(features)), np.concatenate(truth)
    scale = rows.std(axis=0) + 1e-6
    fitted = LogisticRegression(C=PENALTY, max_iter=1000).fit(rows / scale, labels)
    weights, centre = fitted.coef_[0], np.mean(centres, axis=0)
    probability = fitted.predict_proba(rows / scale)[:, 1]
    threshold = round(best_threshold(probability), 4)
    weights, scale, centre = (
        [round(float(v), 5) for v in values] for values in (weights, scale, centre)
    )
    return LogisticModel(round(float(fitted.intercept_[0]), 5), weights, scale, centre, threshold)


def baseline(one: MatchingSet, parts: Sequence[str]) -> dict[str, BoolArray]:
    """Accept pairs by ten lexical similarities and boosting; threshold from folds of train."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    features = {part: ten_similarities(one, part) for part in ("train", *parts)}
    model = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.05, max_leaf_nodes=15, random_state=SEED
    )
    truth = one.truth["train"]
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    apart = cross_val_predict(model, features["train"], truth, cv=folds, method="predict_proba")
    order = np.sort(apart[:, 1])
    scores = [f1([(truth & (y := apart[:, 1] >= t)).sum(), y.sum(), truth.sum()]) for t in order]
    threshold = order[int(np.argmax(scores))]
    model.fit(features["train"], truth)
    return {part: model.predict_proba(features[part])[:, 1] >= threshold for part in parts}


def ten_similarities(one: MatchingSet, part: str) -> Float64Array:
    """Return two TF-IDF cosines, six string similarities of rapidfuzz, and two of word sets."""
    from rapidfuzz import fuzz
    from rapidfuzz.distance import JaroWinkler
    from rapidfuzz.process import cpdist
    from sklearn.feature_extraction.text import TfidfVectorizer

    sides = [one.matcher.left, one.matcher.right]
    titles = [side.values("title") for side in sides]
    names = ("title", "description", "brand", "manufacturer", "modelno", "category", "price")
    columns = [[side.values(name) for name in names] for side in sides]
    texts = [[" ".join(filter(None, row)) for row in zip(*own, strict=True)] for own in columns]
    a, b = one.pairs[part].T
    scores: list[Any] = []
    for how in ({"token_pattern": r"\w+"}, {"analyzer": "char_wb", "ngram_range": (3, 4)}):
        vectorizer = TfidfVectorizer(**how).fit([*texts[0], *texts[1]])
        left, right = (vectorizer.transform(own) for own in texts)
        scores.append(np.asarray(left[a].multiply(right[b]).sum(axis=1)).ravel())
    pairs = [[titles[0][row] for row in a], [titles[1][row] for row in b]]
    scorers: list[Any] = [fuzz.ratio, fuzz.token_sort_ratio, fuzz.token_set_ratio]
    scorers += [fuzz.partial_ratio, JaroWinkler.similarity]
    scores += [cpdist(*pairs, scorer=scorer) for scorer in scorers]
    whole = [[texts[0][row] for row in a], [texts[1][row] for row in b]]
    scores.append(cpdist(*whole, scorer=fuzz.token_set_ratio))
    words = [(set(x.split()), set(y.split())) for x, y in zip(*whole, strict=True)]
    scores.append([len(x & y) / max(1, len(x | y)) for x, y in words])
    scores.append([len(x & y) / max(1, min(len(x), len(y))) for x, y in words])
    return np.column_stack(scores).astype(np.float64)


def speed(one: MatchingSet) -> float:
    """Return how many pairs of features are computed in a second of one core."""
    pairs = np.concatenate(list(one.pairs.values()))
    with stopwatch() as spent:
        one.matcher.offers.features(pairs)
    return len(pairs) / spent.cpu


def describe(recalls: list[list[str]], scores: list[list[str]], rate: float) -> str:
    heads = ["set", "left offers", "right offers", "true pairs", "from the left", "from the right"]
    return (
        "`scripts/bench match DATA`. Share of the true pairs of all parts whose partner is among "
        "the 20 candidates, of all offers of the other side:\n\n"
        f"{table(heads, recalls)}\n\n"
        "F1 with a 95 % interval (left offers resampled), then precision / recall. *Ten "
        "similarities*: boosting on ten lexical similarities, fitted to train, threshold by folds "
        "of train. *Default model*: that of `prodcat match` without labelled pairs, here fitted "
        "to the training parts of the other sets alone. *Fitted to train*: `prodcat match "
        "--pairs`, threshold out of fold.\n\n"
        f"{table(HEADER, scores)}\n\n"
        f"Features of {rate:,.0f} pairs a CPU second."
    )
