"""Words that the whole demo shop shares: brands, colours, sizes, filler and boilerplate."""

from __future__ import annotations

BRANDS = {
    "Electronics": ("Miraxon", "Telvero", "Pixarn", "Korvo"),
    "Footwear": ("Torvik", "Lapotta", "Marcheo", "Vildo"),
    "Kitchen": ("Kuhnel", "Brodel", "Petrella", "Samovarka"),
    "Home": ("Uyutto", "Domarin", "Sofelle"),
    "Lighting": ("Lumarro", "Svetlix", "Ampelio"),
    "Beauty": ("Belanta", "Rosalei"),
    "Accessories": ("Vestelia", "Korvo"),
    "Clothing": ("Vestelia", "Nordwix"),
    "Tools": ("Molotek", "Gvozdar"),
    "Toys": ("Igrulli",),
    "Pets": ("Lapkin",),
    "Garden": ("Uyutto", "Gvozdar"),
    "Sport": ("Nordwix", "Torvik"),
}
ANY_BRANDS = ("Severin & Co", "Kvadro", "Optima+", "Polaris Nord", "Vega-7", "Tri Kita")
SERIES = (
    *("Aurora", "Fjord", "Luna", "Classic", "Loft", "Nova", "Terra", "Mono", "Breeze", "Atlas"),
    *("Pulse", "Velvet", "Orion", "Sonata", "Meridian", "Zephyr", "Taiga", "Bora", "Vista", "Ruta"),
)

# (Russian, English, RGB)
COLOURS = (
    ("графит", "graphite", (72, 80, 94)),
    ("слоновая кость", "ivory", (236, 224, 200)),
    ("терракота", "terracotta", (204, 106, 76)),
    ("горчица", "mustard", (222, 170, 66)),
    ("шалфей", "sage", (142, 168, 136)),
    ("морская волна", "teal", (42, 136, 140)),
    ("индиго", "indigo", (58, 80, 140)),
    ("пыльная роза", "dusty rose", (216, 152, 154)),
    ("бордо", "burgundy", (140, 48, 66)),
    ("лазурь", "sky blue", (124, 178, 218)),
    ("лаванда", "lavender", (166, 150, 206)),
    ("антрацит", "black", (50, 50, 56)),
    ("снег", "white", (244, 243, 240)),
    ("изумруд", "emerald", (36, 128, 92)),
    ("коралл", "coral", (240, 124, 104)),
)

SIZES: dict[str, tuple[str, ...]] = {
    "cm": ("15", "18", "20", "24", "28", "40", "45", "50"),
    "shoe": ("36", "37", "38", "39", "40", "41", "42", "43", "44"),
    "ml": ("250", "300", "330", "350", "400", "450", "500"),
    "litre": ("2", "3", "5"),
    "gb": ("64", "128", "256"),
    "watt": ("7", "9", "12", "40", "60"),
    "mm": ("20", "25", "38", "40", "42", "44"),
    "clothes": ("S", "M", "L", "XL"),
    "none": ("",),
}
UNITS = {
    "cm": (" см", " cm"),
    "shoe": (" размер", " EU"),
    "ml": (" мл", " ml"),
    "litre": (" л", " l"),
    "gb": (" ГБ", " GB"),
    "watt": (" Вт", " W"),
    "mm": (" мм", " mm"),
    "clothes": ("", ""),
    "none": ("", ""),
}

EXTRAS = (
    ("новая коллекция", "хит продаж", "премиум", "в подарочной коробке", "люкс", "2 шт", "Россия"),
    ("new collection", "bestseller", "premium", "gift box", "deluxe", "set of 2", "EU"),
)
GENERIC_FACTS = (
    (
        "качественные материалы",
        "стильный дизайн подойдёт к любому интерьеру",
        "отличный подарок близким",
        "цвет на экране может отличаться от настоящего",
        "упакуем бережно и быстро отправим",
        "проверено отделом качества",
        "лёгкий уход: достаточно протереть мягкой тканью",
        "гарантия 12&nbsp;месяцев",
    ),
    (
        "quality materials",
        "stylish design for any home",
        "a great gift for family &amp; friends",
        "the colour on screen may differ from the real one",
        "packed with care and shipped fast",
        "checked by our quality team",
        "easy care: just wipe with a soft cloth",
        "12&nbsp;month warranty",
    ),
)
INTRO = (
    (
        "Представляем новинку от <b>{brand}</b> &mdash; серия &laquo;{series}&raquo;.",
        "<b>{brand} {series}</b>: выбор тех, кто ценит удобство.",
        "Товар бренда <b>{brand}</b>, артикул {code}.",
    ),
    (
        "Meet the new <b>{brand}</b> &ldquo;{series}&rdquo; line.",
        "<b>{brand} {series}</b>: for those who value comfort.",
        "By <b>{brand}</b>, item number {code}.",
    ),
)
BOILERPLATE = (
    "<p>Магазин &laquo;Полка&raquo;: доставка 1&ndash;3&nbsp;дня, возврат 14&nbsp;дней, оплата при"
    " получении. Подпишитесь на нас и получите скидку&nbsp;5%!</p>",
    "<p>The Polka shop: delivery in 1&ndash;3&nbsp;days, 14&nbsp;days to return, pay on receipt."
    " Follow us &amp; get 5%&nbsp;off!</p>",
)
