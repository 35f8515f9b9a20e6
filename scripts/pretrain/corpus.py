"""All recorded answers as arrays: one query per distinct text, one arm per source and model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scripts.pretrain.domains import DOMAINS, domain_of
from scripts.pretrain.sources import Answered, read

from suffice.outcomes.splitting import normalised


@dataclass(frozen=True)
class Corpus:
    """n queries, K arms, N answers."""

    texts: NDArray[Any]
    """(n,), distinct but for case, width and white space."""
    origins: NDArray[Any]
    """(n,): "source/task" of every place where the text stands, joined by |."""
    domains: NDArray[np.intp]
    """(n,): places in DOMAINS; -1 where none is clear."""
    arms: NDArray[Any]
    """(K,): "source:model"."""
    query: NDArray[np.intp]
    """(N,)"""
    arm: NDArray[np.intp]
    """(N,)"""
    score: NDArray[np.float64]
    """(N,) in [0, 1]."""

    def select(self, is_kept: NDArray[np.bool_]) -> Corpus:
        """Those queries and their answers; the arms stay."""
        places = np.cumsum(is_kept) - 1
        rows = is_kept[self.query]
        return Corpus(
            texts=self.texts[is_kept],
            origins=self.origins[is_kept],
            domains=self.domains[is_kept],
            arms=self.arms,
            query=places[self.query[rows]],
            arm=self.arm[rows],
            score=self.score[rows],
        )


def load(folder: Path, panel: Path, cache: Path | None = None) -> Corpus:
    """The corpus, from the cache if there is one; else it is read, and kept there."""
    if cache is not None and cache.is_file():
        with np.load(cache, allow_pickle=False) as arrays:
            return Corpus(**{name: arrays[name] for name in arrays.files})
    corpus = gather(read(folder, panel))
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(cache, **vars(corpus))
    return corpus


def gather(answers: Iterable[Answered]) -> Corpus:
    """Arrays of answers; texts that differ only in case, width and white space are one query."""
    places: dict[str, int] = {}
    known: dict[str, str] = {}
    arms: dict[str, int] = {}
    texts: list[str] = []
    origins: list[set[str]] = []
    domains: list[int] = []
    rows: list[tuple[int, int, float]] = []
    for answer in answers:
        key = known.get(answer.text)
        if key is None:
            key = known[answer.text] = normalised(answer.text)
        query = places.setdefault(key, len(places))
        if query == len(texts):
            texts.append(answer.text.replace("\x00", " "))
            origins.append(set())
            domain = domain_of(answer.task)
            domains.append(-1 if domain is None else DOMAINS.index(domain))
        origins[query].add(f"{answer.source}/{answer.task} {answer.tags}".strip())
        arm = arms.setdefault(f"{answer.source}:{answer.model}", len(arms))
        rows.append((query, arm, answer.score))
    columns = np.array(rows, np.float64)
    return Corpus(
        texts=np.array(texts),
        origins=np.array(["|".join(sorted(one)) for one in origins]),
        domains=np.array(domains, np.intp),
        arms=np.array(list(arms)),
        query=columns[:, 0].astype(np.intp),
        arm=columns[:, 1].astype(np.intp),
        score=columns[:, 2],
    )


def is_from(corpus: Corpus, pattern: str) -> NDArray[np.bool_]:
    """(n,): queries that stand, anywhere, in a source and task that the pattern matches."""
    found = re.compile(pattern, re.IGNORECASE)
    return np.array([found.search(origin) is not None for origin in corpus.origins], np.bool_)


def model_of(arm: str) -> str:
    """A model's name across sources.

    Examples
    --------
    >>> model_of("paretobandit:meta-llama/llama-3.1-8b-instruct")
    'llama-3.1-8b-instruct'
    >>> model_of("mmlu_pro:Meta-Llama-3_1-8B-Instruct")
    'llama-3.1-8b-instruct'
    """
    name = arm.partition(":")[2].rpartition("/")[2].lower().replace("_", ".")
    return name.removeprefix("meta-").partition("@")[0]


def shingles(text: str, size: int = 5) -> set[int]:
    """Hashes of the runs of `size` words; of all words where there are fewer."""
    words = re.findall(r"\w+", normalised(text))
    if len(words) <= size:
        return {hash(tuple(words))} if words else set()
    return {hash(tuple(words[i : i + size])) for i in range(len(words) - size + 1)}


def near_twins(texts: Sequence[str], left_out: Iterable[str], *, share: float = 0.5) -> NDArray[np.bool_]:
    """(n,): texts of whose runs of five words at least `share` stand anywhere in what is left out.

    Stricter than comparing pairs, by MinHash or otherwise: pieces from several texts add up.
    """
    union: set[int] = set()
    for text in left_out:
        union |= shingles(text)
    found = np.zeros(len(texts), np.bool_)
    for place, text in enumerate(texts):
        own = shingles(text)
        found[place] = bool(own) and len(own & union) >= share * len(own)
    return found
