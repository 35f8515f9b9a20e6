"""A corpus of facts that no model can know; questions that want one look-up, two, or none."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from suffice.retrieval import Document

GENERAL = (
    *((f"What is the capital of {land}?", town) for land, town in (
        ("France", "Paris"), ("Germany", "Berlin"), ("Italy", "Rome"), ("Japan", "Tokyo"),
        ("Spain", "Madrid"), ("Russia", "Moscow"), ("Egypt", "Cairo"), ("Greece", "Athens"),
        ("Austria", "Vienna"),
        ("Portugal", "Lisbon"), ("Poland", "Warsaw"), ("Cuba", "Havana"))),
    ("Who wrote Romeo and Juliet?", "Shakespeare"),
    ("Who painted the Mona Lisa?", "Leonardo"),
    ("What is the largest planet of the solar system?", "Jupiter"),
    ("What is the largest ocean on Earth?", "Pacific"),
    ("On which continent does Kenya lie?", "Africa"),
    ("What colour do blue and yellow paint make?", "green"),
    ("Which metal has the chemical symbol Fe?", "iron"),
    ("Which gas do plants take from the air?", "carbon dioxide"),
    ("Who discovered the law of gravity under an apple tree?", "Newton"),
    ("In which country was pizza invented?", "Italy"),
    ("On which river does London lie?", "Thames"),
    ("On which river does Paris lie?", "Seine"),
)  # fmt: skip
"""Questions that share words with the corpus, so that a look-up finds what does not help."""
KINDS = ("general", "one hop", "two hops")


class Asked(NamedTuple):
    """A question, what its answer must hold, and what it wants."""

    id: str
    kind: str
    text: str
    reference: str


def corpus(seed: int = 0, n: int = 60) -> tuple[list[Document], list[Asked]]:
    """Documents of a sentence each, on invented companies, people and places, and questions on them."""
    rng = np.random.default_rng(seed)
    name = _namer(rng)
    documents: list[Document] = []
    asked: list[Asked] = []

    def say(text: str) -> None:
        documents.append(Document(f"fact-{len(documents)}", text))

    for i in range(n):
        company, person, town, river = f"{name()} Instruments", f"{name()} {name()}", name(), name()
        island, port = name(), name()
        say(f"{company} was founded by {person}.")
        say(f"{person} was born in the town of {town}.")
        say(f"The town of {town} lies on the river {river}.")
        say(f"The capital of the island of {island} is {port}.")
        one = (
            (f"Who founded {company}?", person),
            (f"On which river does the town of {town} lie?", river),
            (f"What is the capital of the island of {island}?", port),
        )[i % 3]
        two = (
            (f"In which town was the founder of {company} born?", town),
            (f"On which river lies the town where {person} was born?", river),
        )[i % 2]
        asked += [Asked(f"one-{i}", "one hop", *one), Asked(f"two-{i}", "two hops", *two)]
    return documents, asked


def questions(n_train: int, n_test: int, seed: int = 0) -> tuple[list[Document], list[Asked], list[Asked]]:
    """The corpus, and as many questions of every kind to fit on and to judge on; no fact is in both."""
    documents, asked = corpus(seed)
    general = [Asked(f"general-{i}", "general", *one) for i, one in enumerate(GENERAL)]
    order = np.random.default_rng(seed).permutation(len(general))
    pools = {"general": [general[i] for i in order]}
    pools |= {kind: [one for one in asked if one.kind == kind] for kind in KINDS[1:]}
    # a company's two questions would be in both halves if they were drawn apart
    train = [one for kind in KINDS for one in pools[kind][:n_train]]
    test = [one for kind in KINDS for one in pools[kind][n_train : n_train + n_test]]
    return documents, train, test


def is_right(answer: str, reference: str) -> bool:
    """Whether the answer holds the reference."""
    return reference.casefold() in answer.casefold()


def _namer(rng: np.random.Generator) -> Callable[[], str]:
    starts = (
        "Vel",
        "Tor",
        "Quess",
        "Nor",
        "Bra",
        "Lum",
        "Zan",
        "Ard",
        "Fen",
        "Gal",
        "Hes",
        "Ist",
        "Kor",
        "Myr",
    )
    middles = ("mo", "va", "li", "ri", "do", "ne", "ka", "su", "")
    ends = ("ra", "by", "vik", "ne", "sk", "dell", "thor", "mar", "quin", "bost")
    pool = ["".join(parts) for parts in itertools.product(starts, middles, ends)]
    names = iter(rng.permutation(pool).tolist())
    return lambda: next(names)
