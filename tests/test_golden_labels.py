"""Routers trained on battles rank queries by what the strong model gains, with golden labels and without."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from suffice import embedders, routers
from suffice.outcomes import Outcomes, Preferences
from suffice.types import Query

needs_torch = pytest.mark.skipif(
    not all(map(find_spec, ("torch", "transformers", "peft"))), reason="pip install 'suffice[torch]'"
)
NAMES = ("sw_ranking", "mf", *(pytest.param(name, marks=needs_torch) for name in ("bert", "causal_lm")))
SHORT = {"epochs": 8.0, "batch": 16, "max_length": 24}
TINY = {"bert": {"encoder": "tiny", **SHORT}, "causal_lm": {"model": "tiny", **SHORT}}
WORDS = {
    "proof": ("integral", "theorem", "matrix", "equation", "lemma", "axiom"),
    "poem": ("sonnet", "moon", "rhyme", "verse", "river", "autumn"),
    "law": ("court", "statute", "appeal", "contract", "tort", "verdict"),
    "cooking": ("butter", "oven", "simmer", "flour", "whisk", "garlic"),
}
STRENGTH = {"strong": 1.5, "weak": 0.0, "best": 2.0, "mean": 0.5, "low": -0.5, "last": -1.5}


def texts(kind: str, n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS[kind], 5)) + f" {kind[0]}{seed}{i}" for i in range(n)]


def arena(n: int = 60, seed: int = 0) -> Preferences:
    """Of six models; strong always beats weak on proofs, and never on poems."""
    rng = np.random.default_rng(seed)
    pairs = list(combinations(STRENGTH, 2))
    rows: list[tuple[str, str, str, str, float]] = []
    for kind in ("proof", "poem"):
        for text in texts(kind, n, seed):
            drawn = [("weak", "strong"), *(pairs[i] for i in rng.integers(len(pairs), size=3))]
            for place in rng.permutation(len(drawn)):
                a, b = drawn[place] if rng.random() < 0.5 else drawn[place][::-1]
                won = float(rng.random() < 1 / (1 + np.exp(STRENGTH[a] - STRENGTH[b])))
                if {a, b} == {"strong", "weak"}:
                    won = float((b == "strong") == (kind == "proof"))
                rows.append((text, text, a, b, won))
    return Preferences.from_columns(*zip(*rows, strict=True))


def golden(n: int = 30, repeated: int = 8) -> Preferences:
    """In a field that the battles do not know strong is right where weak is not on law, both on cooking."""
    both = texts("law", n, 1) + texts("cooking", n, 1)
    quality = np.array([(1.0, 0.0)] * n + [(1.0, 1.0)] * n)
    labels = Preferences.from_outcomes(Outcomes.from_arrays(both, ("strong", "weak"), quality))
    return labels.select(np.tile(np.arange(len(labels)), repeated))


def fit(name: str, preferences: Preferences) -> Any:
    given = TINY.get(name) or {"embedder": embedders.create("hashed")}
    return routers.create(name, **given).fit_preferences(preferences)


def ranked_right(router: Any, more: str, less: str) -> float:
    """Share of pairs of new texts, one of each kind, of which the first has the larger difference."""
    gains = []
    for kind in (more, less):
        scores = router.scores([Query(text=text) for text in texts(kind, 30, 9)])
        gains.append(scores[:, router.arms.index("strong")] - scores[:, router.arms.index("weak")])
    return float((gains[0][:, None] > gains[1][None, :]).mean())


@pytest.mark.parametrize("name", NAMES)
def test_queries_are_ranked_by_what_the_strong_model_gains(name: str) -> None:
    assert ranked_right(fit(name, arena()), "proof", "poem") > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_golden_labels_teach_their_field_and_spoil_no_other(name: str) -> None:
    router = fit(name, arena().concat(golden()))
    assert ranked_right(router, "law", "cooking") > 0.95
    assert ranked_right(router, "proof", "poem") > 0.95
