"""Requests and answers as they stand in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

LONGEST_PARAMETER = 10_000
MOST_NEIGHBOURS = 1000

Text = Annotated[str, Field(max_length=LONGEST_PARAMETER)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Neighbours = Annotated[int, Field(ge=1, le=MOST_NEIGHBOURS)]
WEIGHTS = Field(
    description="Modality or block = weight, such as `title=0.6,image=0.4`", examples=["title=1"]
)
WHERE = Field(
    description="Filter of the cards, such as `brand = Bosch and price < 5000`",
    examples=['category under "Tools"'],
)


class Parameters(BaseModel):
    """Query parameters: an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PredictParameters(Parameters):
    """Those of :meth:`ProductIndex.predict`."""

    k: Annotated[Neighbours | None, Field(description="Number of neighbours that vote")] = None
    temperature: Annotated[
        Annotated[Number, Field(gt=0)] | None,
        Field(description="A low one lets the nearest cards decide"),
    ] = None
    prior_exponent: Annotated[
        Number | None, Field(description="A high one favours small categories")
    ] = None
    head_exponent: Annotated[
        Annotated[Number, Field(ge=0)] | None,
        Field(description="How much the words count beside the vote; 0 leaves them out"),
    ] = None
    weights: Annotated[Text | None, WEIGHTS] = None
    explain: Annotated[bool, Field(description="Say what decided")] = False
    precision: Annotated[
        Share | None, Field(description="Add a `decision`: accept answers at this target precision")
    ] = None
    per: Annotated[
        Literal["all", "category"],
        Field(description="Keep the precision for all answers together or for each category"),
    ] = "all"
    coverage: Annotated[
        Share | None,
        Field(description="Add a `category_set`: categories that hold the true one this often"),
    ] = None
    where: Annotated[Text | None, WHERE] = None


class SearchParameters(Parameters):
    """Those of :meth:`ProductIndex.search`."""

    k: Annotated[Neighbours, Field(description="Number of cards")] = 10
    weights: Annotated[Text | None, WEIGHTS] = None
    where: Annotated[Text | None, WHERE] = None
    by: Annotated[
        Literal["search", "vote"],
        Field(description="Whose default weights: those that find products, or those of the vote"),
    ] = "search"


class Listing(BaseModel):
    """A listing: its texts, and for a card of the index its columns. A number is a text as well."""

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True)
    __pydantic_extra__: dict[str, str | None]

    id: str | None = None
    title: str | None = None
    description: str | None = None
    category: str | None = None
    category_id: str | None = None
    group: str | None = None


class Answer(BaseModel):
    """An answer: it has no other fields."""

    model_config = ConfigDict(extra="forbid")


class Neighbour(Answer):
    """A card near a listing; `image` is the relative address of its picture, empty without one."""

    id: str
    title: str
    category: str
    image: str
    similarity: float
    by_modality: dict[str, float]
    contributions: dict[str, float] = {}
    vote_share: float | None = None


class CategoryShare(Answer):
    """A category and its share of the vote; its probability where the vote is calibrated."""

    category: str
    share: float
    probability: float | None = None


class Level(CategoryShare):
    """The answer or a prefix of it, and the other categories under the same parent."""

    siblings: list[CategoryShare]


class Evidence(Answer):
    """How much the index knows of a listing."""

    known_category: float
    known_words: float | None = None
    nearest: float | None = None


class Word(Answer):
    """A word that speaks for a category, and how much."""

    word: str
    adds: float


class Prediction(Answer):
    """The answer for one listing, as :meth:`Prediction.as_dict` and with what a page shows."""

    id: str
    category: str
    category_id: str
    confidence: float
    share: float
    alternatives: list[CategoryShare]
    decision: Literal["accept", "review", "new"] | None = None
    backed_off: str | None = None
    category_set: list[str] | None = None
    note: str | None = None
    evidence: Evidence | None = None
    decided_by: str | None = None
    without: dict[str, CategoryShare] | None = None
    head: float | None = None
    share_without_head: float | None = None
    words: list[Word] | None = None
    ranked: list[CategoryShare]
    tree: list[Level]
    neighbours: list[Neighbour]
    notes: list[str]
    version: int


class Found(Answer):
    """The nearest cards; `weights` are those that counted for this query, by block."""

    neighbours: list[Neighbour]
    weights: dict[str, float]
    notes: list[str]
    version: int


class Card(BaseModel):
    """A card with all its columns; `image` is the relative address of its picture, or empty."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Any]

    id: str
    title: str
    description: str
    image: str
    category: str
    category_id: str
    group: str


class Change(Answer):
    """A card as it is after a change, none where it was removed, and the version of the index."""

    card: Card | None
    version: int
    notes: list[str]


class Cards(Answer):
    """Some of the cards that were asked for, and the number of all."""

    cards: list[Card]
    total: int
    notes: list[str]
    version: int


class Category(Answer):
    """A category and those below it; the last three are known after an audit."""

    category: str
    name: str
    cards: int
    cards_below: int
    children: list[Category]
    accuracy: float | None = None
    wrong_labels: int | None = None
    duplicates: int | None = None


class FlatCategory(Answer):
    """A category with cards of its own."""

    category: str
    category_id: str
    cards: int


class Modality(Answer):
    """What is embedded, and the blocks that it has."""

    name: str
    kind: Literal["text", "picture", "vector"]
    blocks: list[str]


class DefaultWeights(Answer):
    """Block -> weight."""

    vote: dict[str, float]
    search: dict[str, float]


class Vote(Answer):
    """Default parameters of the vote."""

    k: int
    temperature: float
    prior_exponent: float
    head_exponent: float


class IndexDescription(Answer):
    """What is served, and what the one who asks may do."""

    name: str
    version: int
    cards: int
    labelled: int
    categories: int
    modalities: list[Modality]
    weights: DefaultWeights
    vote: Vote
    calibrated: bool
    columns: list[str]
    has_pictures: bool
    writable: bool
    needs_token: bool
    owner: str
