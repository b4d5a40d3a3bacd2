"""Source tasks whose answer is free text (for models that generate)."""

from __future__ import annotations

import random
from collections import Counter

from .examples import WRITE, Example, fill
from .facts import all_facts, fact_list_examples
from .label_tasks import cut
from .sources import training_rows
from .text_tasks import texts_by_kind

LAYOUTS = ("{i} : {t} => [Y]", "{t} {i} : [Y]", "{i} {t} [Y]", "{t} => {i} [Y]", "{i} | {t} | [Y]",
           "text : {t} {i} : [Y]")  # fmt: skip
BARE = ("{t} [Y]", "{t} => [Y]")

TABLES = 80_000  # beside about 100,000 rows of the others
ASKS = {
    "squad_qg": ("ask a question about it", "question", "what could one ask"),
    "quora_paraphrase": ("the same question in other words", "paraphrase", "say it differently"),
    "dailydialog": ("reply", "what is said next", "answer the speaker"),
    "entailment": ("what follows", "a true sentence about it", "conclude"),
    "contradiction": ("say the opposite", "a false sentence about it", "contradict"),
    "neutral": ("what may also be the case", "guess more about it"),
    "copy": ("repeat", "copy the text", "say it again"),
    "table": ("describe it", "text from the fields", "write it as a sentence", "in words"),
}

# Attribute lists of our own: kind of thing -> field -> values.
_NAMES = {
    "hotel": "Grand Palace,Sea View,Old Mill Inn,Royal Oak,Station Hotel,White Horse,Blue Lagoon",
    "cafe": "Corner House,Red Cup,Morning Star,Little Garden,Green Door,Golden Spoon,The Harbour",
    "museum": "City Gallery,House of Science,Railway Museum,Modern Art Hall,Castle Museum",
    "book": "Silent Water,The Last Train,Winter Roses,A Thousand Doors,The Clockmaker",
    "film": "Night Road,The Stranger,Golden Summer,Broken Wings,The Long Way Home",
    "phone": "Nova 3,Pixel Star,Orion X,Delta Mini,Aurora 5",
    "player": "John Carter,Maria Lopez,Ahmed Khan,Anna Berg,Pierre Dubois,Li Wei",
    "town": "Riverton,Oakfield,Lakeside,Northbridge,Saint Clair,Westford",
}
_FIELDS = {
    "hotel": {"area": "city centre,riverside,old town,by the sea,airport",
              "price": "cheap,moderate,high,low,more than £ 30,less than £ 20",
              "rating": "high,low,average,5 out of 5,3 out of 5,1 out of 5",
              "near": "Central Park,Crown Bridge,All Saints Church,The Market",
              "family friendly": "yes,no"},
    "cafe": {"food": "French,Italian,Chinese,Indian,English,Japanese,Fast food",
             "area": "city centre,riverside,old town,harbour",
             "price": "cheap,moderate,high,£ 20 - 25,more than £ 30,less than £ 20",
             "rating": "high,low,average,5 out of 5,3 out of 5,1 out of 5",
             "near": "Central Park,Crown Bridge,Hotel Royal,The Market",
             "family friendly": "yes,no"},
    "museum": {"area": "city centre,riverside,old town", "open": "daily,at weekends,in summer",
               "price": "free,cheap,high", "subject": "art,science,trains,history"},
    "book": {"author": "Jane Miller,Tom Hardy,Ivan Petrov,Lucy Gray", "year": "1898,1954,2003,1987",
             "genre": "mystery,romance,history,fantasy", "pages": "120,250,320,500"},
    "film": {"director": "Paul Stein,Rita Moreno,Ken Ito,Sara Lind", "year": "1962,1999,2010",
             "genre": "comedy,drama,thriller,western", "country": "France,Japan,Italy,India"},
    "phone": {"price": "cheap,high,moderate", "colour": "black,white,red", "screen": "small,large",
              "rating": "high,low,average"},
    "player": {"sport": "football,tennis,hockey,basketball", "country": "Spain,Norway,France,China",
               "team": "Lions,Eagles,United,Rovers", "born": "1985,1990,1978"},
    "town": {"country": "England,Canada,Germany,Brazil", "population": "2000,15000,400000",
             "river": "Avon,Elbe,Rio Verde", "known for": "wine,steel,cheese,music"},
}  # fmt: skip
# How a field is told after "NAME is a KIND"; {v} is the value.
_TELL = {
    "area": ("in the {v} area", "located at the {v}", "in the {v}"),
    "price": ("with {v} prices", "in the {v} price range", "at a price that is {v}"),
    "rating": ("rated {v} by customers", "with a customer rating of {v}", "with a {v} rating"),
    "near": ("near {v}", "close to {v}", "next to {v}"),
    "food": ("serving {v} food", "that serves {v} food", "offering {v} dishes"),
    "open": ("open {v}", "which opens {v}"), "subject": ("about {v}", "devoted to {v}"),
    "author": ("by {v}", "written by {v}"), "year": ("from {v}", "that came out in {v}"),
    "genre": ("of the {v} kind", "in the {v} genre"), "pages": ("with {v} pages",),
    "director": ("directed by {v}", "by {v}"), "country": ("from {v}", "of {v}"),
    "colour": ("in {v}", "that comes in {v}"), "screen": ("with a {v} screen",),
    "sport": ("of {v}", "in {v}"), "team": ("with the {v}", "on the team of the {v}"),
    "born": ("born in {v}",), "population": ("with {v} inhabitants", "of {v} people"),
    "river": ("on the {v}", "by the river {v}"), "known for": ("known for {v}", "famous for {v}"),
}  # fmt: skip


def table_example(subjects: list[str], rng: random.Random) -> Example:
    """An attribute list of our own with a sentence that tells it.

    Most names are those of any `subjects`: too many to be learned by heart, so that a model has
    to copy them from the list.
    """
    kind = rng.choice(sorted(_NAMES))
    name = rng.choice(subjects if rng.random() < 0.8 else _NAMES[kind].split(","))
    fields = rng.sample(sorted(_FIELDS[kind]), rng.randint(1, min(5, len(_FIELDS[kind]))))
    values = {f: rng.choice(_FIELDS[kind][f].split(",")) for f in fields}
    if "near" in values and rng.random() < 0.8:
        values["near"] = rng.choice(subjects)
    pairs = [f"name : {name}", f"Type : {kind}", *(f"{f} : {values[f]}" for f in fields)]
    source = " | ".join(pairs)
    order = rng.sample(fields, len(fields))
    child = values.get("family friendly")
    told = [rng.choice(_TELL[f]).replace("{v}", values[f]) for f in order if f in _TELL]
    first = told[: rng.choice((2, 3, 4))]
    rest = told[len(first) :]
    adjective = {"yes": "family friendly ", "no": "", None: ""}[child]
    text = f"{name} is a {adjective}{kind} {' '.join(first)}".strip() + " ."
    if rng.random() < 0.3 and first:
        text = f"{first[0].capitalize()} , {name} is a {adjective}{kind} {' '.join(first[1:])} ."
    if rest:
        text += f" It is {' and '.join(rest)} ."
    if child == "no":
        text += rng.choice((" It is not family friendly .", " Children are not welcome ."))
    return _ask("table", source, " ".join(text.split()), rng)


def _ask(task: str, text: str, answer: str, rng: random.Random) -> Example:
    pattern = rng.choice(BARE if rng.random() < 0.1 else LAYOUTS)
    return fill(pattern, answer, WRITE, i=rng.choice(ASKS[task]), t=text)


def write_examples(rng: random.Random, dropped: Counter[str]) -> list[Example]:
    """All rows whose answer is written freely."""
    examples = fact_list_examples(rng)
    for task in ("squad_qg", "quora_paraphrase", "dailydialog"):
        for row in training_rows(task, dropped):
            source = " ".join(row["source"].replace(" [SEP] ", " | ").split()[-40:])
            for _ in range(2):
                examples.append(_ask(task, source, " ".join(row["target"].split()[:30]), rng))
    for row in training_rows("snli", dropped):
        examples.append(_ask(row["label"], cut(row["text_a"], 30, rng), row["text_b"], rng))
    texts = texts_by_kind(rng, dropped)
    for kind in sorted(texts):
        for text in texts[kind][:1500]:
            short = " ".join(text.split()[:16])
            examples.append(_ask("copy", short, short, rng))
    subjects = sorted({subject for _, subject, _ in all_facts() if len(subject.split()) < 4})
    examples += [table_example(subjects, rng) for _ in range(TABLES)]
    return examples
