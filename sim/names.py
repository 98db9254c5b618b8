"""Made-up names, titles and descriptions for the demo world. Any likeness to a real work is chance."""

from __future__ import annotations

import numpy as np

GENRES = (
    "Drama", "Comedy", "Thriller", "Action", "Romance", "Crime", "Adventure", "Sci-Fi", "Horror", "Fantasy",
    "Animation", "Family", "Mystery", "Documentary", "War", "Western", "Music", "Sport",
)  # fmt: skip
"""The most frequent first."""

_ADJECTIVES = (
    "Amber", "Ancient", "Autumn", "Bitter", "Borrowed", "Brave", "Broken", "Burning", "Crimson", "Crooked", "Distant",
    "Double", "Electric", "Empty", "Endless", "Fading", "Fallen", "Final", "First", "Forgotten", "Frozen", "Gentle",
    "Gilded", "Golden", "Hidden", "Hollow", "Honest", "Iron", "Last", "Little", "Lonely", "Long", "Lost", "Lucky",
    "Midnight", "Missing", "Northern", "Painted", "Paper", "Perfect", "Quiet", "Reckless", "Restless", "Rising",
    "Salt", "Savage", "Scarlet", "Secret", "Seventh", "Shallow", "Silent", "Silver", "Slow", "Stolen", "Strange",
    "Sudden", "Summer", "Sunken", "Tender", "Thirsty", "Twisted", "Unfinished", "Velvet", "Wandering", "Wild",
    "Winter", "Wooden", "Yellow",
)  # fmt: skip
_NOUNS = (
    "Alibi", "Anthem", "Archive", "Arrow", "Atlas", "Ballad", "Bargain", "Bay", "Beacon", "Bell", "Border", "Bridge",
    "Cabin", "Canyon", "Carnival", "Castle", "Circus", "Citadel", "Clock", "Coast", "Comet", "Compass", "Cradle",
    "Crossing", "Crown", "Detour", "Diary", "Dream", "Echo", "Eclipse", "Ember", "Empire", "Encore", "Engine",
    "Estate", "Exile", "Feast", "Ferry", "Forest", "Fortune", "Garden", "Ghost", "Glacier", "Harbor", "Harvest",
    "Heist", "Horizon", "Hotel", "Hour", "Inheritance", "Island", "Journey", "Juror", "Kingdom", "Lagoon", "Lantern",
    "Ledger", "Letter", "Lighthouse", "Machine", "Map", "Marathon", "Market", "Masquerade", "Meadow", "Melody",
    "Mile", "Mirror", "Monsoon", "Mountain", "Neighbor", "Notebook", "Oath", "Orbit", "Orchard", "Outpost", "Parade",
    "Passage", "Patrol", "Petal", "Pilot", "Pioneer", "Planet", "Postcard", "Promise", "Quarry", "Rehearsal",
    "Reunion", "Riddle", "River", "Road", "Rumor", "Season", "Shadow", "Shore", "Signal", "Sky", "Sparrow", "Station",
    "Storm", "Stranger", "Summit", "Theater", "Thief", "Tide", "Tower", "Train", "Treaty", "Trial", "Valley",
    "Verdict", "Village", "Violin", "Voyage", "Wedding", "Whistle", "Window", "Witness", "Wolf",
)  # fmt: skip
_PLACES = (
    "Alder Creek", "Briar Hill", "Calla Bay", "Dunmore", "Eastwick", "Fenmoor", "Greyhaven", "Hollow Pines",
    "Isla Verde", "Juniper Falls", "Kestrel Point", "Larkspur", "Marrow Lake", "Northgate", "Old Quay", "Port Amity",
    "Quillan", "Ravenna Street", "Saltmarsh", "Thornfield Road", "Umber", "Vesper", "Westerly", "Yarrow",
)  # fmt: skip
_PATTERNS = ("The {a} {n}", "{a} {n}", "The {n} of {p}", "{a} {p}", "{article} {a} {n}", "The {n} at {p}", "{n} to {p}")
_FIRST = (
    "Ada", "Amir", "Anouk", "Arjun", "Bea", "Bram", "Carmen", "Chidi", "Clara", "Dario", "Dina", "Elif", "Emil",
    "Esther", "Farah", "Felix", "Gita", "Hana", "Hugo", "Ines", "Isak", "Jonas", "Jun", "Kaya", "Kofi", "Leila",
    "Linus", "Lucia", "Malik", "Mara", "Mei", "Milo", "Nadia", "Nils", "Nora", "Omar", "Paula", "Petra", "Priya",
    "Quinn", "Rafael", "Rosa", "Ruth", "Samir", "Sofia", "Tariq", "Tess", "Theo", "Uma", "Vera", "Viktor", "Wanda",
    "Xenia", "Yara", "Yusuf", "Zoe",
)  # fmt: skip
_LAST = (
    "Abara", "Almeida", "Arden", "Balint", "Barlow", "Brandt", "Calloway", "Castell", "Conti", "Dahl", "Duarte",
    "Ekman", "Farrow", "Fontaine", "Gallo", "Grover", "Haddad", "Hale", "Ibarra", "Jansen", "Kade", "Keller", "Kimura",
    "Lacroix", "Lindqvist", "Lowell", "Marsh", "Mensah", "Mercer", "Moreau", "Nakata", "Novak", "Okafor", "Orlov",
    "Pace", "Pereira", "Quist", "Rao", "Reyes", "Rossi", "Sand", "Sato", "Sharma", "Silva", "Stone", "Tanaka", "Thorne",
    "Ueda", "Vance", "Varga", "Weller", "Winther", "Yilmaz", "Young", "Zeller",
)  # fmt: skip
_HEROES = (
    "a retired pilot", "two sisters", "a night-shift nurse", "a small-town judge", "an unlucky inventor",
    "a young cook", "three old friends", "a runaway violinist", "a stubborn detective", "a lighthouse keeper",
    "a first-year teacher", "an exiled prince", "a rookie reporter", "a family of bakers", "a deep-sea diver",
    "a chess champion",
)  # fmt: skip
_DEEDS = (
    "must decide whom to trust", "set out to find what was taken", "uncovers what a whole town would rather forget",
    "gets one chance to put things right", "learn that the past is not done with them", "makes a bargain at midnight",
    "crosses the country for a promise", "finds a door that should not be there", "fall for the wrong plan",
    "has until morning to get home", "takes a job nobody else wanted", "start over with nothing but a map",
)  # fmt: skip
_NUMERALS = ("", " II", " III", " IV", " V")


def people(rng: np.random.Generator, count: int) -> list[str]:
    """`count` names; they repeat only when first and last names are used up."""
    pairs = rng.permutation(len(_FIRST) * len(_LAST))
    picks = pairs[np.arange(count) % len(pairs)]
    return [f"{_FIRST[pick // len(_LAST)]} {_LAST[pick % len(_LAST)]}" for pick in picks]


def titles(rng: np.random.Generator, count: int) -> list[str]:
    """`count` different titles."""
    made: dict[str, None] = {}
    for numeral in (*_NUMERALS, *(f" {number}" for number in range(6, 1000))):
        for _ in range(4):
            size = 2 * (count - len(made))
            pattern, adjective, noun, place = (
                rng.integers(0, len(words), size) for words in (_PATTERNS, _ADJECTIVES, _NOUNS, _PLACES)
            )
            for i in range(size):
                words = {"a": _ADJECTIVES[adjective[i]], "n": _NOUNS[noun[i]], "p": _PLACES[place[i]]}
                words["article"] = _article(words["a"])
                made.setdefault(_PATTERNS[pattern[i]].format(**words) + numeral)
                if len(made) == count:
                    return list(made)
    raise ValueError(f"no {count} different titles can be made")


def descriptions(rng: np.random.Generator, genres: list[str]) -> list[str]:
    """One sentence an item, which names its primary genre."""
    who, what = rng.integers(0, len(_HEROES), len(genres)), rng.integers(0, len(_DEEDS), len(genres))
    return [
        f"{_article(genre)} {genre if genre == 'Sci-Fi' else genre.lower()} story in which {_HEROES[h]} "
        f"{_agree(_HEROES[h], _DEEDS[d])}."
        for genre, h, d in zip(genres, who, what, strict=True)
    ]


def _article(word: str) -> str:
    return "An" if word[0] in "AEIOU" else "A"


_PLURAL = {"gets": "get", "uncovers": "uncover", "makes": "make", "crosses": "cross", "finds": "find", "has": "have",
           "takes": "take"}  # fmt: skip
_SINGULAR = {"set": "sets", "learn": "learns", "fall": "falls", "start": "starts"}


def _agree(hero: str, deed: str) -> str:
    verb, _, rest = deed.partition(" ")
    many = hero.startswith(("two", "three"))
    verb = _PLURAL.get(verb, verb) if many else _SINGULAR.get(verb, verb)
    return f"{verb} {rest}"
