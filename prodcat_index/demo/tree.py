"""The demo shop's category tree: 40 leaves, each with its words, its shape and its price."""

from __future__ import annotations

from dataclasses import dataclass

SHRINK = 0.86
PATH_SEPARATOR = " > "


@dataclass(frozen=True)
class Words:
    """One category's words in one language."""

    nouns: tuple[str, ...]
    vague: tuple[str, ...]
    facts: tuple[str, ...]


@dataclass(frozen=True)
class Leaf:
    """One category of the demo shop."""

    category: str
    shape: str
    size: str
    price: int
    russian: Words
    english: Words

    @property
    def department(self) -> str:
        """The first step of the path."""
        return self.category.split(PATH_SEPARATOR)[0]


def _words(text: str) -> Words:
    nouns, vague, facts = (tuple(part.split(", ")) for part in text.split(" / "))
    return Words(nouns, vague, facts)


def _leaf(category: str, shape: str, size: str, price: int, russian: str, english: str) -> Leaf:
    return Leaf(category, shape, size, price, _words(russian), _words(english))


def category_sizes(cards: int) -> dict[Leaf, int]:
    """Share cards out among the categories with a long tail."""
    whole = sum(SHRINK**rank for rank in range(len(LEAVES)))
    sizes = [max(1, int(cards * SHRINK**rank / whole)) for rank in range(len(LEAVES))]
    for rank in range(cards - sum(sizes)):
        sizes[rank % 10] += 1
    for rank in range(sum(sizes) - cards):
        sizes[rank % 3] -= 1
    return dict(zip(LEAVES, sizes, strict=True))


LEAVES = (
    _leaf(
        *("Electronics > Phone Cases", "phone_case", "cm", 690),
        "чехол для телефона, накладка на смартфон, бампер для телефона"
        " / чехол, накладка, чехол с рисунком"
        " / бортик защищает камеру, кнопки громкости нажимаются легко"
        ", не мешает беспроводной зарядке, закрывает углы телефона при падении",
        "phone case, smartphone cover, phone bumper"
        " / case, cover, printed case"
        " / raised lip guards the camera, volume buttons stay clicky"
        ", works with wireless charging, protects phone corners from drops",
    ),
    _leaf(
        *("Footwear > Sneakers", "sneaker", "shoe", 4990),
        "кроссовки, кеды, кроссовки беговые"
        " / обувь, пара на шнуровке, обувь на каждый день"
        " / пружинящая подошва для бега, сетчатый верх дышит"
        ", подходит для тренировок и прогулок, лёгкая пена под пяткой",
        "sneakers, running shoes, trainers"
        " / shoes, lace-up pair, everyday footwear"
        " / springy sole for running, breathable mesh upper"
        ", good for the gym and for walks, light foam under the heel",
    ),
    _leaf(
        *("Kitchen > Mugs", "mug", "ml", 590),
        "кружка, кружка для чая, чашка"
        " / посуда для напитков, керамика ручной работы, подарок на кухню"
        " / удобная ручка на три пальца, кофе долго остаётся горячим"
        ", рисунок обожжён под глазурью, вмещает большую порцию чая",
        "mug, coffee mug, tea cup"
        " / drinkware, handmade ceramics, kitchen gift"
        " / comfortable three-finger handle, keeps coffee hot"
        ", print fired under the glaze, holds a large tea",
    ),
    _leaf(
        *("Home > Pillow Covers", "cushion", "cm", 790),
        "наволочка, чехол на подушку, наволочка декоративная"
        " / чехол, чехол с рисунком, текстиль для дивана"
        " / потайная молния по нижнему краю, подушка в комплект не входит"
        ", ткань не линяет при стирке, легко надеть и снять для стирки",
        "pillowcase, cushion cover, throw pillow cover"
        " / cover, printed case, sofa textile"
        " / hidden zip along the lower edge, pillow insert not included"
        ", fabric keeps colour in the wash, easy to take off and wash",
    ),
    _leaf(
        *("Lighting > Table Lamps", "table_lamp", "watt", 2490),
        "настольная лампа, ночник, лампа на стол"
        " / лампа, светильник, свет для спальни"
        " / тканевый абажур рассеивает свет, выключатель на шнуре"
        ", устойчивое основание не скользит по столу, подходит для чтения в кровати",
        "table lamp, bedside lamp, desk lamp"
        " / lamp, light, bedroom light"
        " / fabric shade softens the light, switch on the cord"
        ", heavy base does not slide on the desk, good for reading in bed",
    ),
    _leaf(
        *("Footwear > Boots", "boot", "shoe", 6990),
        "ботинки, сапоги, полусапоги"
        " / обувь, пара на шнуровке, обувь на каждый день"
        " / высокое голенище держит лодыжку, утеплены шерстью на зиму"
        ", глубокий протектор не скользит на льду, кожа пропитана от воды",
        "boots, ankle boots, winter boots"
        " / shoes, lace-up pair, everyday footwear"
        " / tall shaft supports the ankle, wool lining for winter"
        ", deep tread grips on ice, leather treated against water",
    ),
    _leaf(
        *("Kitchen > Glasses", "glass", "ml", 490),
        "стакан, бокал, стакан для сока"
        " / посуда для напитков, подарок на кухню, стекло"
        " / прозрачное стекло звенит, толстое дно не даёт опрокинуться"
        ", для сока и лимонада со льдом, кромка отполирована огнём",
        "tumbler, drinking glass, highball glass"
        " / drinkware, kitchen gift, glassware"
        " / clear ringing glass, thick bottom prevents tipping"
        ", for juice and iced lemonade, fire-polished rim",
    ),
    _leaf(
        *("Electronics > Smartphones", "phone", "gb", 15990),
        "смартфон, телефон, мобильный телефон"
        " / гаджет, устройство, новинка"
        " / две сим-карты и карта памяти, батарея держит два дня"
        ", ночная съёмка без вспышки, сканер отпечатка под экраном",
        "smartphone, mobile phone, phone"
        " / gadget, device, new arrival"
        " / dual SIM and memory card, battery lasts two days"
        ", night shots without flash, fingerprint reader under the screen",
    ),
    _leaf(
        *("Lighting > Light Bulbs", "bulb", "watt", 290),
        "лампочка, светодиодная лампочка, лампа накаливания"
        " / лампа, свет для спальни, источник света"
        " / цоколь стандартный, вкручивается в любой патрон"
        ", служит тридцать тысяч часов, светит без мерцания",
        "light bulb, LED bulb, filament bulb"
        " / lamp, bedroom light, light source"
        " / standard screw base, fits any socket"
        ", lasts thirty thousand hours, flicker-free",
    ),
    _leaf(
        *("Home > Vases", "vase", "cm", 1290),
        "ваза, ваза для цветов, ваза напольная"
        " / керамика ручной работы, стекло, предмет интерьера"
        " / узкое горло держит букет, для сухоцветов и живых роз"
        ", воду менять раз в два дня, украсит комод или подоконник",
        "vase, flower vase, floor vase"
        " / handmade ceramics, glassware, interior piece"
        " / narrow neck holds a bouquet, for dried flowers and roses"
        ", change the water every two days, looks good on a windowsill",
    ),
    _leaf(
        *("Accessories > Wrist Watches", "watch", "mm", 3990),
        "наручные часы, часы кварцевые, часы механические"
        " / часы, часы с ремешком, аксессуар"
        " / точный кварцевый механизм, минеральное стекло не царапается"
        ", запас хода сорок часов, застёжка из стали",
        "wrist watch, quartz watch, mechanical watch"
        " / watch, watch with strap, accessory"
        " / accurate quartz movement, scratch-proof mineral crystal"
        ", forty-hour power reserve, steel buckle",
    ),
    _leaf(
        *("Beauty > Makeup Brushes", "makeup_brush", "mm", 390),
        "кисть для макияжа, кисть для пудры, кисть для румян"
        " / кисть, кисть плоская, кисти набор"
        " / мягкий ворс не колет кожу, растушёвывает тени без полос"
        ", наносит пудру тонким слоем, мыть детским шампунем",
        "makeup brush, powder brush, blush brush"
        " / brush, flat brush, brush set"
        " / soft bristles are kind to skin, blends eyeshadow without streaks"
        ", lays powder in a thin veil, wash with baby shampoo",
    ),
    _leaf(
        *("Kitchen > Pans", "pan", "cm", 1990),
        "сковорода, сковорода-гриль, сотейник"
        " / посуда для плиты, утварь, подарок на кухню"
        " / антипригарное покрытие для жарки, ручка не нагревается"
        ", блины не прилипают, жарит почти без масла",
        "frying pan, skillet, grill pan"
        " / cookware, utensil, kitchen gift"
        " / non-stick coating for frying, handle stays cool"
        ", pancakes slide off, fries with hardly any oil",
    ),
    _leaf(
        *("Home > Pillows", "pillow", "cm", 1490),
        "подушка, подушка для сна, подушка ортопедическая"
        " / текстиль для дивана, текстиль, для сна"
        " / наполнитель пух и перо, поддерживает шею во сне"
        ", не сбивается в комки, взбивать раз в неделю",
        "pillow, sleeping pillow, memory foam pillow"
        " / sofa textile, textile, for sleep"
        " / down and feather filling, supports the neck in sleep"
        ", does not clump, fluff once a week",
    ),
    _leaf(
        *("Clothing > T-shirts", "tshirt", "clothes", 990),
        "футболка, майка, футболка оверсайз"
        " / одежда, одежда с рисунком, хлопок"
        " / свободный крой с коротким рукавом, ворот не растягивается",
        "t-shirt, tee, oversized t-shirt"
        " / clothes, printed clothes, cotton"
        " / loose fit with short sleeves, collar keeps its shape",
    ),
    _leaf(
        *("Tools > Paint Brushes", "paint_brush", "mm", 190),
        "кисть малярная, флейц, кисть для краски"
        " / кисть, кисть плоская, кисти набор"
        " / для лака и эмали по дереву, щетина не лезет в краску",
        "paint brush, wall brush, varnish brush"
        " / brush, flat brush, brush set"
        " / for varnish and enamel on wood, bristles do not shed into paint",
    ),
    _leaf(
        *("Electronics > Smart Watches", "smart_watch", "mm", 4990),
        "смарт-часы, умные часы, фитнес-браслет"
        " / часы, часы с ремешком, гаджет"
        " / считает шаги и пульс, показывает уведомления с телефона",
        "smart watch, fitness tracker, smartwatch"
        " / watch, watch with strap, gadget"
        " / counts steps and heart rate, shows phone notifications",
    ),
    _leaf(
        *("Accessories > Backpacks", "backpack", "none", 2990),
        "рюкзак, рюкзак городской, ранец / сумка, аксессуар / отделение для ноутбука, мягкие лямки",
        "backpack, city backpack, school bag / bag, accessory / laptop sleeve, padded straps",
    ),
    _leaf(
        *("Lighting > Floor Lamps", "floor_lamp", "watt", 5990),
        "торшер, лампа напольная, светильник напольный"
        " / лампа, светильник / стоит у кресла, высота до плеча",
        "floor lamp, standing lamp, torchiere"
        " / lamp, light / stands beside an armchair, shoulder height",
    ),
    _leaf(
        *("Electronics > Tablets", "tablet", "gb", 19990),
        "планшет, планшетный компьютер"
        " / гаджет, устройство / большой экран для кино, пером можно рисовать",
        "tablet, tablet computer / gadget, device / large screen for films, draw with the pen",
    ),
    _leaf(
        *("Electronics > Headphones", "headphones", "none", 2990),
        "наушники, гарнитура / гаджет, звук / глубокий бас, мягкие амбушюры",
        "headphones, headset / gadget, sound / deep bass, soft ear pads",
    ),
    _leaf(
        *("Kitchen > Teapots", "teapot", "ml", 1490),
        "заварочный чайник, чайник / керамика ручной работы / носик не капает, ситечко внутри",
        "teapot, tea pot / handmade ceramics / drip-free spout, strainer inside",
    ),
    _leaf(
        *("Home > Wall Clocks", "wall_clock", "cm", 1490),
        "часы настенные, часы на стену / часы, предмет интерьера / бесшумный ход, крючок для стены",
        "wall clock, kitchen clock / clock, interior piece / silent sweep, wall hook included",
    ),
    _leaf(
        *("Garden > Flower Pots", "flower_pot", "cm", 490),
        "цветочный горшок, кашпо / горшок, керамика ручной работы / отверстие для дренажа, поддон",
        "flower pot, planter / pot, handmade ceramics / drainage hole, saucer included",
    ),
    _leaf(
        *("Footwear > Slippers", "slipper", "shoe", 790),
        "тапочки, шлёпанцы / обувь / для дома и бани, без задника",
        "slippers, slides / shoes / for home and sauna, open back",
    ),
    _leaf(
        *("Kitchen > Plates", "plate", "cm", 390),
        "тарелка, блюдо / керамика ручной работы, посуда / для супа и салата, ставится стопкой",
        "plate, dinner plate / handmade ceramics, tableware / for salad and mains, stackable",
    ),
    _leaf(
        *("Beauty > Shampoo", "shampoo", "ml", 390),
        "шампунь, шампунь для волос / уход / густая пена, для окрашенных волос",
        "shampoo, hair shampoo / care / rich lather, for coloured hair",
    ),
    _leaf(
        *("Sport > Water Bottles", "bottle", "ml", 790),
        "бутылка для воды, фляга / бутылка / крышка не протекает, для спортзала",
        "water bottle, flask / bottle / leak-proof lid, for the gym",
    ),
    _leaf(
        *("Kitchen > Knives", "knife", "cm", 990),
        "нож кухонный, нож поварской / утварь / острое лезвие, режет хлеб и мясо",
        "kitchen knife, chef knife / utensil / sharp blade, cuts bread and meat",
    ),
    _leaf(
        *("Electronics > Tablet Cases", "tablet_case", "cm", 1290),
        "чехол для планшета, чехол-книжка / чехол, накладка / складывается в подставку для экрана",
        "tablet case, tablet folio / case, cover / folds into a screen stand",
    ),
    _leaf(
        *("Kitchen > Cooking Pots", "pot", "litre", 2490),
        "кастрюля, казан / посуда для плиты, горшок / для супа и каши, крышка с клапаном",
        "cooking pot, stock pot / cookware, pot / for soup and porridge, lid with a vent",
    ),
    _leaf(
        *("Tools > Hammers", "hammer", "none", 890),
        "молоток, молоток слесарный / инструмент / забивает гвозди, кованый боёк",
        "hammer, claw hammer / tool / drives nails, forged head",
    ),
    _leaf(
        *("Sport > Balls", "ball", "none", 1290),
        "мяч, мяч футбольный / спорт / держит давление, для зала и травы",
        "ball, football / sport / keeps pressure, for hall and grass",
    ),
    _leaf(
        *("Beauty > Perfume", "perfume", "ml", 2990),
        "духи, туалетная вода / аромат / ноты бергамота, стойкий шлейф",
        "perfume, eau de toilette / fragrance / notes of bergamot, lasting trail",
    ),
    _leaf(
        *("Accessories > Sunglasses", "sunglasses", "none", 1490),
        "очки солнцезащитные, очки от солнца / аксессуар / защита от ультрафиолета, поляризация",
        "sunglasses, shades / accessory / UV protection, polarised",
    ),
    _leaf(
        *("Beauty > Face Creams", "jar", "ml", 890),
        "крем для лица, крем ночной / уход / увлажняет сухую кожу, без отдушек",
        "face cream, night cream / care / hydrates dry skin, fragrance-free",
    ),
    _leaf(
        *("Clothing > Caps", "cap", "clothes", 890),
        "бейсболка, кепка / одежда / жёсткий козырёк, регулируется сзади",
        "baseball cap, cap / clothes / stiff visor, adjustable strap",
    ),
    _leaf(
        *("Toys > Teddy Bears", "teddy", "cm", 1290),
        "плюшевый мишка, медведь мягкий / игрушка / мягкая набивка, для малышей",
        "teddy bear, plush bear / toy / soft stuffing, for toddlers",
    ),
    _leaf(
        *("Pets > Pet Bowls", "bowl", "ml", 390),
        "миска для собаки, миска для кошки / миска / не скользит по полу, для корма",
        "dog bowl, cat bowl / bowl / does not slide, for pet food",
    ),
    _leaf(
        *("Home > Candles", "candle", "cm", 390),
        "свеча, свеча ароматическая / предмет интерьера / горит сорок часов, воск соевый",
        "candle, scented candle / interior piece / burns for forty hours, soy wax",
    ),
)
