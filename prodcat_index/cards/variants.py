"""Variants of one product by their texts: titles but for sizes, colours and numbers; descriptions.

The words are those of eleven languages: English, Russian, Ukrainian, Spanish, Portuguese, Italian,
French, German, Dutch, Polish and Turkish.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from prodcat_index.cards.codes import PLACEHOLDER_CARDS, encode, without_placeholders
from prodcat_index.types import MISSING, BoolArray, Int64Array

# Endings, and the words that take each of them; - is no ending.
COLOURS = (
    (
        "-",
        "black white red blue green yellow orange purple violet pink brown grey gray beige navy "
        "turquoise teal khaki maroon burgundy cream ivory silver gold golden cyan magenta olive "
        "lilac coral mint bronze copper charcoal anthracite graphite terracotta emerald indigo "
        "lavender transparent multicolor multicolour multicolored",
    ),
    (
        "ый ая ое ые ого ой ую ых",
        "черн чёрн бел красн желт жёлт зелен зелён оранжев розов фиолетов коричнев сер бежев голуб "
        "бордов серебрист серебрян золотист золот бирюзов прозрачн сиренев салатов молочн кремов "
        "оливков лилов разноцветн",
    ),
    ("ий яя ее ие его", "син"),
    ("-", "хром бордо хаки золото серебро бронза антрацит графит терракота изумруд лаванда индиго"),
    ("o a os as", "negr blanc roj amarill morad dorad platead pret branc vermelh amarel rox"),
    ("- es", "azul gris"),
    ("- s", "verde rosa naranja violeta celeste marino laranja cinza"),
    ("-", "marrón marron oro noir noire noirs noires blanc blanche blancs blanches rouge rouges"),
    ("- e s es", "bleu vert gris brun violet"),
    ("-", "jaune jaunes rose roses argent doré dorée"),
    ("- e er es en", "schwarz weiss rot blau grün gelb braun grau violett"),
    (
        "-",
        "claro clara oscuro oscura clair foncé lila silber blu verdi viola marrone arancione "
        "argento",
    ),
    ("o a i e", "ner bianc ross giall grigi azzurr"),
    ("- e", "zwart blauw groen paars bruin"),
    ("-", "wit witte rood rode geel gele oranje roze grijs grijze"),
    ("ий а е і ого ої", "чорн біл червон жовт зелен помаранчев рожев фіолетов коричнев сір бежев"),
    ("ій я є і", "син"),
    (
        "-",
        "siyah beyaz kırmızı mavi yeşil sarı turuncu pembe gri kahverengi bej lacivert gümüş altın",
    ),
    ("y a e i", "czarn biał czerwon żółt zielon niebiesk szar różow brązow fioletow srebrn złot"),
)
SIZES = (
    "xxs xs s m l xl xxl xxxl xxxxl small medium large маленький маленькая средний средняя "
    "большой большая pequeño pequeña mediano mediana grande petit moyen grand klein mittel gross "
    "piccolo medio mały średni duży"
)
NAMES = (
    "size colour color размер рост цвет цвета р talla taille couleur grösse farbe taglia colore "
    "tamanho cor rozmiar kolor"
)
# Words that belong to the colour or number after them.
SHADES = ("light", "dark", "sky", "pale", "hell", "dunkel", "светло", "темно", "тёмно", "ярко")
NUMBER_SIGNS = ("no", "nr", "n")
UNITS = (
    "g gr kg mg ml cl l lt cm mm m km in inch inches ft oz lb lbs gb tb mb mah ah w kw v pcs pc "
    "piece pieces pack packs ct xs xl xxl xxxl г гр кг мг мл л см мм м км вт квт в ач мач гб тб мб "
    "шт штук штуки уп упак эл элементов дет деталей ud uds unidad unidades stk stück szt pz pezzi "
    "pièces x х"
)
# Longer numbers are of articles, and tell products apart.
MOST_DIGITS = 4
# Fewer words name a kind of product, such as a lamp, rather than one of them.
FEWEST_WORDS, SHORT_WORD = 2, 1
MOST_VARIANTS = 50
# Letters of a long description.
LONG = 60
# No product has a larger share of all cards, and of the words in the titles of its many variants
# more than this part is common to most of them.
LARGEST_SHARE = 0.25
COMMON_SHARE, COMMON_TO = 0.5, 0.8

# Accents and the dots of ё are often left out; й is a letter of its own.
_MARKS = re.compile("(?<![иИ])[\u0300-\u036f]")


def _fold(text: str) -> str:
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", text))
    return unicodedata.normalize("NFC", plain).casefold()


_UNITS = frozenset(map(_fold, UNITS.split()))
_DROPPED = frozenset(map(_fold, (*SIZES.split(), *NAMES.split()))).union(
    _fold(word + ending.strip("-"))
    for endings, words in COLOURS
    for word in words.split()
    for ending in endings.split()
)
_SHADES = frozenset(map(_fold, SHADES))
_NUMBER = rf"\d{{1,{MOST_DIGITS}}}"
_QUANTITY = re.compile(
    rf"(?:{'|'.join(NUMBER_SIGNS)}|x|х|р)?{_NUMBER}(?:[xх]{_NUMBER})*"
    rf"(?:{'|'.join(sorted(_UNITS, key=len, reverse=True))})?"
)


def words_of(text: str) -> list[str]:
    """Return the words of a text without case, accents and punctuation."""
    return re.findall(r"\w+", _fold(text))


def product_words(text: str) -> list[str]:
    """Return the words but sizes, colours and numbers with units; codes such as lm3301 stay."""
    kept: list[str] = []
    follows_number = False
    for word in words_of(text):
        is_number = not word.isalpha() and bool(_QUANTITY.fullmatch(word))
        belongs = NUMBER_SIGNS if is_number else _SHADES if word in _DROPPED else ()
        if kept and kept[-1] in belongs:
            kept.pop()
        if not (is_number or word in _DROPPED or (follows_number and word in _UNITS)):
            kept.append(word)
        follows_number = is_number
    return kept


def join_titles(
    titles: Sequence[list[str]], categories: Int64Array
) -> tuple[Int64Array, BoolArray]:
    """Join titles, N lists of words, that are equal; also return those that too many share.

    None join where the titles of most cards say no more than the category.
    """
    keys = [" ".join(words) if _names_product(words) else "" for words in titles]
    codes, shared = without_placeholders(encode(keys), categories)
    sizes = _sizes(codes)
    too_many = sizes > (1 if _are_categories(codes, categories) else MOST_VARIANTS)
    return np.where(too_many, MISSING, codes), shared | too_many


def _names_product(words: Sequence[str]) -> bool:
    return sum(len(w) > SHORT_WORD and not w.isdigit() for w in words) >= FEWEST_WORDS


def _are_categories(codes: Int64Array, categories: Int64Array) -> bool:
    """Check whether most labelled cards are in a category whose cards all have one code."""
    labelled = np.flatnonzero(categories != MISSING)
    alone = int(codes.max(initial=MISSING)) + 1 + labelled
    own = np.where(codes[labelled] == MISSING, alone, codes[labelled])
    pairs = np.unique(np.stack([categories[labelled], own]), axis=1)
    sizes = np.bincount(categories[labelled])
    is_one = (np.bincount(pairs[0], minlength=len(sizes)) == 1) & (sizes > 1)
    return bool(sizes[is_one].sum() > len(labelled) / 2)


def join_descriptions(
    descriptions: Sequence[str], titles: Sequence[list[str]], categories: Int64Array
) -> tuple[Int64Array, BoolArray]:
    """Join long descriptions that are equal; also return those that several products share.

    From ten cards on, it is one product's only if their titles have most words in common.
    """
    distinct = {text: " ".join(product_words(text)) for text in dict.fromkeys(descriptions)}
    keys = [distinct[text] for text in descriptions]
    codes, shared = without_placeholders(
        encode([key if len(key) >= LONG else "" for key in keys]), categories
    )
    sizes = _sizes(codes)
    for code in np.unique(codes[sizes >= PLACEHOLDER_CARDS]).tolist():
        rows = np.flatnonzero(codes == code)
        if len(rows) > max(PLACEHOLDER_CARDS, LARGEST_SHARE * len(codes)) or not _is_one_product(
            [titles[row] for row in rows.tolist()]
        ):
            shared[rows] = True
    return np.where(shared, MISSING, codes), shared


def _is_one_product(titles: Sequence[list[str]]) -> bool:
    own = [set(words) for words in titles]
    counts = Counter(word for words in own for word in words)
    common = {word for word, count in counts.items() if count >= COMMON_TO * len(own)}
    shared = sum(len(words & common) for words in own)
    return shared > COMMON_SHARE * sum(map(len, own))


def _sizes(codes: Int64Array) -> Int64Array:
    """Return how many cards have the code of each card; 0 for none."""
    known = codes != MISSING
    sizes = np.zeros(len(codes), dtype=np.int64)
    sizes[known] = np.bincount(codes[known])[codes[known]]
    return sizes
